"""What an API client asks about itself and its people."""

from __future__ import annotations

from typing import Any, cast

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..errors import KeyNeeded, UserNeeded
from ..models import ApiKey, Scope
from ..services.api_keys import may
from ..services.external_users import delete_external_user, find_external_user
from .base import ApiView
from .keys import USER_HEADER, ApiKeyAuthentication, check_scope, external_id, sent_key
from .schema import operation
from .throttles import ReadThrottle


class KeySerializer(serializers.Serializer[Any]):
    prefix = serializers.CharField(help_text="Public part of the key.")
    name = serializers.CharField()
    client = serializers.CharField(source="client.name", help_text="Name of the API client.")
    scopes = serializers.SerializerMethodField(help_text="What the key may be used for now.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Null: valid until it is revoked.")

    def get_scopes(self, key: ApiKey) -> list[str]:
        return [scope for scope in key.scopes if may(key=key, scope=scope)]


class KeyView(ApiView):
    """A view for API keys alone."""

    def get_authenticators(self) -> list[Any]:
        return [ApiKeyAuthentication()]

    def perform_authentication(self, request: Request) -> None:
        """Tell people with a login of the site what is missing; asking them to log in would lead nowhere."""
        if sent_key(request) is None and any(own.authenticate(request) for own in super().get_authenticators()[1:]):
            raise KeyNeeded(_("This is for API clients: send an API key as “Authorization: Bearer ss_...”."))
        super().perform_authentication(request)


def sent_by(request: Request) -> ApiKey:
    """Return the key that sent a request to a view for API keys."""
    return cast("ApiKey", request.auth)


class KeyDetail(KeyView):
    scopes = {"GET": None}
    needs_user = False
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readKey", responses={200: KeySerializer})
    def get(self, request: Request) -> Response:
        """The API key of this request."""
        return Response(KeySerializer(sent_by(request)).data)


class ExternalUserDetail(KeyView):
    scopes = {"DELETE": Scope.USERS_WRITE}
    throttle_classes = [ReadThrottle]

    def authenticate_user_of(self, request: Request, key: ApiKey) -> None:
        """Make no account for a person who has none, and serve people whose account is turned off, too."""
        if request.method == "DELETE":
            check_scope(key, Scope.USERS_WRITE)

    @operation(operation_id="deleteUser", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete all data of a person of your platform: posts, photos, requests, taste and account.

        Feedback on songs stays, and leads to nobody. A later request for the same id begins anew.
        """
        key, named = sent_by(request), external_id(request)
        if named is None:
            raise UserNeeded(_("Send the id of the person in the header %(header)s.") % {"header": USER_HEADER})
        delete_external_user(person=find_external_user(client=key.client, external_id=named))
        return Response(status=204)
