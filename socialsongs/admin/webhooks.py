"""Events, endpoints of webhooks and their deliveries. A secret is shown once, on the page after it is made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..errors import BadWebhookUrl, TooManyEndpoints
from ..models import ApiClient, Event, WebhookDelivery, WebhookEndpoint
from ..services import webhooks as services
from ..webhooks.sending import target_of
from .base import ReadOnly, Styled


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    kinds = forms.MultipleChoiceField(
        label=_("Kinds"),
        choices=Event.Kind.told(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None: all kinds."),
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target_of(url)
        except BadWebhookUrl as error:
            raise ValidationError(str(error)) from error
        return url

    def clean_client(self) -> ApiClient | None:
        client: ApiClient | None = self.cleaned_data["client"]
        try:
            services.check_room(client=client)
        except TooManyEndpoints as error:
            raise ValidationError(str(error)) from error
        return client


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Styled):
    """A new endpoint is sent a ping at once, and events when it has answered it."""

    form = EndpointForm
    fields = ["url", "client", "kinds", "description"]
    list_display = ["url", "client", "state", "verified_at", "failures", "created_at"]
    list_select_related = ["client"]
    list_filter = ["active", "client"]
    search_fields = ["url", "description", "=id"]
    actions = ["ping", "replay_what_failed", "rotate", "disable", "enable"]

    def get_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        return self.fields if obj is None else [*self.fields, *self.get_readonly_fields(request, obj)[2:]]

    def get_readonly_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        if obj is None:
            return []
        return ["url", "client", "id", "state", "verified_at", "failures", "resume_at", "previous_until", "created_at"]

    @admin.display(description=_("state"))
    def state(self, endpoint: WebhookEndpoint) -> str:
        return endpoint.describe_state()

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made, text = services.add_endpoint(url=obj.url, client=obj.client, kinds=obj.kinds, description=obj.description)
        obj.pk = made.pk
        obj.text = text  # type: ignore[attr-defined]  # only for the page that follows

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._secret_page(request, obj, obj.text)  # type: ignore[attr-defined]

    def _secret_page(self, request: HttpRequest, endpoint: WebhookEndpoint, text: str) -> HttpResponse:
        """Show the secret on this page, which no cache keeps: not after a redirect."""
        title = _("Secret of a webhook endpoint")
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "endpoint": endpoint,
                   "text": text}  # fmt: skip
        return TemplateResponse(request, "socialsongs/secret_made.html", context)

    @admin.action(description=_("Send a ping, which also verifies an endpoint"), permissions=["change"])
    def ping(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset.filter(active=True):
            services.ping(endpoint=endpoint)
        messages.success(request, _("The pings are queued. Their deliveries show what comes of them."))

    @admin.action(description=_("Send again what failed"), permissions=["change"])
    def replay_what_failed(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        count = services.retry_deliveries(deliveries=WebhookDelivery.objects.filter(endpoint__in=queryset))
        said = ngettext("%(number)d delivery is queued again.", "%(number)d deliveries are queued again.", count)
        messages.success(request, said % {"number": count})

    @admin.action(description=_("Make a new secret (of one endpoint); the old one stays valid for a day"),
                  permissions=["change"])  # fmt: skip
    def rotate(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> HttpResponse | None:
        if queryset.count() != 1:
            messages.error(request, _("Choose one endpoint: its new secret is shown once."))
            return None
        endpoint = queryset.get()
        text = services.rotate_secret(endpoint=endpoint)
        messages.success(request, _("The old secret stays valid for a day."))
        return self._secret_page(request, endpoint, text)

    @admin.action(description=_("Disable: send nothing more"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset.filter(active=True):
            services.disable_endpoint(endpoint=endpoint, reason="Staff disabled it.")
        messages.success(request, _("The endpoints are disabled."))

    @admin.action(description=_("Enable, and verify anew by a ping"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        for endpoint in queryset.filter(active=False):
            services.enable_endpoint(endpoint=endpoint)
        messages.success(request, _("The endpoints are enabled, and get events when they have answered a ping."))


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    list_display = ["queued_at", "event", "endpoint", "state", "attempts", "status_code", "error", "next_at"]
    list_select_related = ["event", "endpoint"]
    list_filter = ["state", "endpoint", "event__kind"]
    search_fields = ["=event__id"]
    actions = ["send_again"]

    @admin.action(description=_("Send again (those that failed)"), permissions=["view_and_change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        count = services.retry_deliveries(deliveries=queryset)
        said = ngettext("%(number)d delivery is queued again.", "%(number)d deliveries are queued again.", count)
        messages.success(request, said % {"number": count})

    def has_view_and_change_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_webhookdelivery")


@admin.register(Event)
class EventAdmin(ReadOnly):
    """What happened to posts, until EVENT_RETENTION_DAYS; the state is that of the signal to the host's receivers."""

    list_display = ["created_at", "kind", "id", "post_id", "state", "attempts", "failing", "error"]
    list_filter = ["state", "kind", "created_at"]
    search_fields = ["=id", "=post__id"]
    fields = ["id", "kind", "post_id", "request_id", "song", "reason", "created_at", "state", "attempts", "next_at",
              "failing", "error"]  # fmt: skip
    readonly_fields = ("post_id", "request_id")
    actions = ["send_again"]

    @admin.action(description=_("Send the signal again (where receivers failed)"), permissions=["view_and_change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        count = services.send_signals_again(events=queryset)
        said = ngettext("%(number)d signal is queued again.", "%(number)d signals are queued again.", count)
        messages.success(request, said % {"number": count})

    def has_view_and_change_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_event")
