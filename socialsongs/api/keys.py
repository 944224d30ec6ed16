"""Requests of API clients: ``Authorization: Bearer ss_...``, and SocialSongs-User with the id of the person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from ..errors import InvalidExternalId, InvalidKey, UserInactive
from ..models import ApiKey, Scope
from ..services.api_keys import MARK, check_key, may
from ..services.external_users import checked_id, get_external_user

if TYPE_CHECKING:
    from ..user_types import Person

USER_HEADER = "SocialSongs-User"
BEARER = "bearer"
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class ApiKeyAuthentication(BaseAuthentication):
    """Says which key sent the request, as ``request.auth``; ``base.ApiView`` then finds the person.

    Other tokens are left to the host's own classes.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        text = sent_key(request)
        if text is None:
            return None
        try:
            return AnonymousUser(), check_key(text)
        except InvalidKey as error:
            raise AuthenticationFailed(str(error), code=error.code) from None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def sent_key(request: Request) -> str | None:
    """Return what a request sends in place of a key; None where it sends none. Raises AuthenticationFailed."""
    scheme, text = _authorization(request)
    if not text.startswith(MARK):
        return None
    if scheme != BEARER:
        raise not_sent_as_a_key()
    return text


def is_bearer(request: Request) -> bool:
    return _authorization(request)[0] == BEARER


def not_sent_as_a_key() -> AuthenticationFailed:
    return AuthenticationFailed(_("Send an API key as “Authorization: Bearer ss_...”."), code=InvalidKey.code)


def _authorization(request: Request) -> tuple[str, str]:
    """Return scheme, in lower case, and text of the header; a key alone has no scheme."""
    sent = get_authorization_header(request).decode("latin-1").strip()
    scheme, _, text = ("", "", sent) if sent.startswith(MARK) else sent.partition(" ")
    return scheme.lower(), text.strip()


def check_scope(key: ApiKey, scope: Scope) -> None:
    if not may(key=key, scope=scope):
        raise PermissionDenied(
            _("This API key may not do this: it has no scope “%(scope)s”, or its client has none.") % {"scope": scope},
            code="insufficient_scope",
        )


def external_id(request: Request) -> str | None:
    """Return the id of the person for whom the request is; None where it names nobody.

    The header holds the id in UTF-8, percent-encoded as in an address, so that any id fits into it. A comma must be
    encoded, too: servers join a header that was sent twice with one. Raises InvalidExternalId.
    """
    sent = request.headers.get(USER_HEADER)
    if sent is None:
        return None
    if "," in sent:
        raise InvalidExternalId(_("Send %(header)s once. A comma in an id is written %%2C.") % {"header": USER_HEADER})
    try:
        if BAD_ESCAPE.search(sent):  # as a text it would be another person's id
            raise ValueError
        text = unquote_to_bytes(sent.encode("latin-1")).decode()  # WSGI gives each byte of a header as one character
    except ValueError:  # also of Unicode
        raise InvalidExternalId(
            _("%(header)s is not UTF-8, percent-encoded as in an address.") % {"header": USER_HEADER}
        ) from None
    return checked_id(text)


def account_for(key: ApiKey, external_id: str) -> Person:
    """Return the account of a person of the key's client; their first use makes it. Raises UserInactive."""
    user = get_external_user(client=key.client, external_id=external_id).user
    if not user.is_active:
        raise UserInactive(_("The account of this person is turned off on this site."))
    user.acts_by_key = True  # type: ignore[attr-defined]  # read by selectors.permissions
    return user


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_requirement(self, auto_schema: Any) -> Any:
        """Name the scope; None for an operation that is not for keys."""
        method = auto_schema.method
        if method not in auto_schema.view.scopes:
            return None
        scope = auto_schema.view.scopes[method]
        return {self.name: [] if scope is None else [str(scope)]}

    def get_security_definition(self, auto_schema: Any) -> Any:
        scheme: dict[str, Any] = build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Bearer")
        return {
            **scheme,
            "description": "An API key, `ss_...`. Each operation names the scope that the key needs. "
            f"`{USER_HEADER}` says for whom the request is.",
        }
