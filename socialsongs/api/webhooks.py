"""Endpoints of webhooks that an API client makes for itself; it hears of its own people's posts and requests."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ..database import atomic
from ..errors import IdempotencyConflict
from ..models import ApiKey, Event, Scope, WebhookDelivery, WebhookEndpoint
from ..services import webhooks as services
from ..webhooks.sending import LONGEST_URL
from ..webhooks.signing import secret_text
from .clients import KeyView, sent_by
from .idempotency import answer_once, once_of
from .keys import check_scope
from .pagination import PARAMETERS, Newest
from .problem import problems
from .schema import operation
from .serializers import IdField, Strict
from .throttles import ReadThrottle

KINDS = Event.Kind.told()


class EndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    verified_at = serializers.DateTimeField(
        allow_null=True, help_text="When it answered a ping; null: it is sent nothing but pings."
    )
    active = serializers.BooleanField(help_text="False: nothing is sent; see `disabled_reason`.")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="Null: the last attempt was a success.")
    old_secret_until = serializers.DateTimeField(
        source="previous_until", allow_null=True, help_text="Until then the secret before the last change signs, too."
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("id", "url", "kinds", "description", "active", "disabled_reason", "verified_at", "failing_since",
                  "old_secret_until", "created_at")  # fmt: skip


class NewEndpointSerializer(EndpointSerializer):
    secret = serializers.SerializerMethodField(help_text="Store it now: it signs each webhook.")

    class Meta(EndpointSerializer.Meta):
        fields = (*EndpointSerializer.Meta.fields, "secret")  # type: ignore[assignment]

    def get_secret(self, endpoint: WebhookEndpoint) -> str:
        return secret_text(endpoint.salt)


class EndpointFieldsSerializer(Strict):
    url = serializers.CharField(max_length=LONGEST_URL, help_text="https, a public address.")
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=KINDS),
        required=False,
        max_length=len(KINDS),
        help_text="Kinds of events; empty: all of them.",
    )
    description = serializers.CharField(max_length=200, allow_blank=True, required=False)


class EndpointChangesSerializer(EndpointFieldsSerializer):
    url = serializers.CharField(
        max_length=LONGEST_URL, required=False, help_text="A new address is verified anew, by a ping."
    )
    active = serializers.BooleanField(
        required=False, help_text="False: send nothing more. True: verify it anew by a ping, and send events again."
    )


class RotationSerializer(Strict):
    keep_hours = serializers.IntegerField(
        min_value=0,
        max_value=services.KEEP_AT_MOST // timedelta(hours=1),
        default=24,
        required=False,
        help_text="How long the old secret signs, too. 0: it is void at once.",
    )


class Moment(serializers.DateTimeField):
    def enforce_timezone(self, value: datetime) -> datetime:
        """Refuse a time that does not say of which zone it is: the client's may be another than the site's."""
        if timezone.is_naive(value):
            raise serializers.ValidationError(_("Give the offset from UTC, too, as in 2026-12-01T14:00:00Z."))
        return value


class ReplaySerializer(Strict):
    since = Moment(required=False, help_text="Events from this time on; with its offset from UTC.")
    event = IdField(required=False, help_text="The event with this id, in place of `since`.")

    def validate(self, values: Any) -> Any:
        if len(values) != 1:
            raise serializers.ValidationError({"since": [_("Give either a time or an event.")]})
        return values


class ReplayedSerializer(serializers.Serializer[Any]):
    queued = serializers.IntegerField(help_text="Events that are sent again.")


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    event = serializers.UUIDField(source="event_id", help_text="Its id, as in the header webhook-id.")
    kind = serializers.ChoiceField(choices=Event.Kind.choices, source="event.kind")
    next_at = serializers.SerializerMethodField(help_text="When it is attempted next; null unless it waits.")
    status_code = serializers.IntegerField(allow_null=True, help_text="Of the last answer; null: there was none.")
    error = serializers.CharField(help_text="What was wrong at the last attempt, or empty.")

    class Meta:
        model = WebhookDelivery
        fields = ("event", "kind", "state", "attempts", "status_code", "error", "queued_at", "next_at", "finished_at")

    def get_next_at(self, delivery: WebhookDelivery) -> Any:
        return delivery.next_at if delivery.state == WebhookDelivery.State.WAITING else None


class WebhookView(KeyView):
    throttle_classes = [ReadThrottle]
    needs_user = False

    def authenticate_user_of(self, request: Request, key: ApiKey) -> None:
        """Check the scope alone: an endpoint is the client's, whoever else the request names."""
        check_scope(key, Scope.WEBHOOKS_MANAGE)


def own_endpoints(request: Request) -> QuerySet[WebhookEndpoint]:
    return WebhookEndpoint.objects.filter(client=sent_by(request).client)


def find_endpoint(request: Request, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """Return an endpoint of the key's client, or raise 404."""
    return get_object_or_404(own_endpoints(request), pk=endpoint_id)


class Webhooks(WebhookView):
    scopes = {"GET": Scope.WEBHOOKS_MANAGE, "POST": Scope.WEBHOOKS_MANAGE}
    pagination_class = Newest
    parameters = PARAMETERS

    @operation(operation_id="listWebhooks", responses={200: EndpointSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """The endpoints of your client, newest first."""
        pages = self.pagination_class()
        page = pages.paginate_queryset(own_endpoints(request), request, view=self) or []
        return pages.get_paginated_response(EndpointSerializer(page, many=True).data)

    @operation(
        operation_id="addWebhook",
        request=EndpointFieldsSerializer,
        responses={201: NewEndpointSerializer, **problems(409, 422)},
    )
    def post(self, request: Request) -> Response:
        """Add an endpoint, and store its secret, which no later answer has.

        It is sent a ping at once, again after some seconds, and so on for a day, or at once with `test`. It gets events
        once it has answered one.
        """
        form = EndpointFieldsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with once_of(request) as attempt:
            if attempt.earlier is not None:  # the secret is not stored, with the answer neither
                endpoint = find_endpoint(request, attempt.earlier_answer)
            else:
                with atomic():
                    endpoint, _secret = services.add_endpoint(client=sent_by(request).client, **form.validated_data)
                    attempt.finish(answer=str(endpoint.pk))
        return Response(NewEndpointSerializer(endpoint).data, status=201)


class Webhook(WebhookView):
    scopes = dict.fromkeys(("GET", "PATCH", "DELETE"), Scope.WEBHOOKS_MANAGE)

    @operation(operation_id="readWebhook", responses={200: EndpointSerializer})
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """An endpoint of your client."""
        return Response(EndpointSerializer(find_endpoint(request, endpoint_id)).data)

    @operation(
        operation_id="changeWebhook",
        request=EndpointChangesSerializer,
        responses={200: EndpointSerializer, **problems(422)},
    )
    def patch(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Change an endpoint; what you leave out stays."""
        form = EndpointChangesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        endpoint = find_endpoint(request, endpoint_id)
        services.change_endpoint(endpoint=endpoint, **form.validated_data)
        return Response(EndpointSerializer(endpoint).data)

    @operation(operation_id="deleteWebhook", responses={204: None})
    def delete(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Delete an endpoint with its deliveries."""
        find_endpoint(request, endpoint_id).delete()
        return Response(status=204)


class WebhookSecret(WebhookView):
    scopes = {"POST": Scope.WEBHOOKS_MANAGE}

    @operation(
        operation_id="rotateWebhookSecret",
        request=RotationSerializer,
        responses={200: NewEndpointSerializer, **problems(409)},
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Make a new secret, which no later answer has. For some hours the old one signs each webhook, too."""
        form = RotationSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        endpoint = find_endpoint(request, endpoint_id)
        with once_of(request) as attempt:
            if attempt.earlier is None:
                with atomic():
                    services.rotate_secret(endpoint=endpoint, keep=timedelta(hours=form.validated_data["keep_hours"]))
                    attempt.finish(answer=endpoint.salt)
            elif attempt.earlier_answer != endpoint.salt:
                raise IdempotencyConflict(_("The secret that this key made was replaced since. Rotate it again."))
        return Response(NewEndpointSerializer(endpoint).data)


class WebhookTest(WebhookView):
    scopes = {"POST": Scope.WEBHOOKS_MANAGE}

    @operation(operation_id="testWebhook", request=None, responses={202: DeliverySerializer, **problems(409)})
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Send a ping; the deliveries show what comes of it. While one waits, no other is sent."""
        endpoint = find_endpoint(request, endpoint_id)
        with once_of(request) as attempt:
            if attempt.earlier is not None:
                delivery = get_object_or_404(endpoint.deliveries, pk=attempt.earlier_answer)
            else:
                with atomic():
                    delivery = services.test_endpoint(endpoint=endpoint)
                    attempt.finish(answer=delivery.pk)
        return Response(DeliverySerializer(delivery).data, status=202)


class WebhookReplay(WebhookView):
    scopes = {"POST": Scope.WEBHOOKS_MANAGE}

    @operation(
        operation_id="replayWebhook", request=ReplaySerializer, responses={202: ReplayedSerializer, **problems(409)}
    )
    def post(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """Send events of your people again, under their old ids, also those from before the endpoint."""
        form = ReplaySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        endpoint = find_endpoint(request, endpoint_id)
        return answer_once(
            request, lambda: {"queued": services.replay(endpoint=endpoint, **form.validated_data)}, status=202
        )


class NewestDeliveries(Newest):
    ordering = ("-queued_at", "-id")


class WebhookDeliveries(WebhookView):
    scopes = {"GET": Scope.WEBHOOKS_MANAGE}
    pagination_class = NewestDeliveries
    parameters = PARAMETERS

    @operation(operation_id="listDeliveries", responses={200: DeliverySerializer(many=True)})
    def get(self, request: Request, endpoint_id: uuid.UUID) -> Response:
        """What was sent to an endpoint, and what came of it, newest first."""
        rows = find_endpoint(request, endpoint_id).deliveries.select_related("event")
        pages = self.pagination_class()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response(DeliverySerializer(page, many=True).data)
