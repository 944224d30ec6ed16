"""Endpoints of webhooks, and the deliveries of events to them."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .api_client import ApiClient
from .base import AppModel
from .event import Event


class WebhookEndpoint(AppModel):
    """An address that hears of events. It is sent nothing but pings until it has answered one.

    Its secret is not stored: it is derived from SECRET_KEY and ``salt`` (``webhooks/signing.py``).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(
        ApiClient,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="webhook_endpoints",
        help_text=_("Hears of the posts of this client's people; empty: of all posts."),
        verbose_name=_("client"),
    )
    url = models.CharField(_("address"), max_length=500)
    description = models.CharField(_("description"), max_length=200, blank=True, default="")
    kinds = ArrayField(
        models.CharField(max_length=20),
        default=list,
        blank=True,
        help_text=_("Kinds of events; none: all of them."),
        verbose_name=_("kinds"),
    )
    salt = models.CharField(_("salt"), max_length=32, editable=False)
    previous_salt = models.CharField(_("previous salt"), max_length=32, blank=True, default="", editable=False)
    previous_until = models.DateTimeField(
        _("previous until"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Until then the previous secret signs, too."),
    )
    active = models.BooleanField(_("active"), default=True, editable=False)
    verified_at = models.DateTimeField(
        _("verified at"), null=True, blank=True, editable=False, help_text=_("When it answered a ping.")
    )
    disabled_reason = models.CharField(_("disabled reason"), max_length=200, blank=True, default="", editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    failures = models.PositiveIntegerField(
        _("failures"), default=0, editable=False, help_text=_("Since the last success.")
    )
    resume_at = models.DateTimeField(
        _("resume at"), null=True, blank=True, editable=False, help_text=_("Nothing is sent before, after a failure.")
    )
    attempted_at = models.DateTimeField(_("attempted at"), null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        ordering = ["created_at", "id"]

    def __str__(self) -> str:
        return self.url

    def describe_state(self) -> str:
        """Return what staff read: verified, not verified, failing since when, or disabled and why."""
        if not self.active:
            return gettext("disabled: %(reason)s") % {"reason": self.disabled_reason}
        if self.failing_since:
            return gettext("failing since %(time)s") % {"time": f"{self.failing_since:%Y-%m-%d %H:%M}"}
        return gettext("verified") if self.verified_at else gettext("not verified yet")


class WebhookDelivery(AppModel):
    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event"))
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("endpoint")
    )
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    queued_at = models.DateTimeField(_("queued at"), db_default=Now(), help_text=_("The attempts end a day after it."))
    next_at = models.DateTimeField(_("next at"), db_default=Now())
    status_code = models.PositiveSmallIntegerField(
        _("status code"), null=True, blank=True, help_text=_("Of the last answer.")
    )
    error = models.CharField(_("error"), max_length=500, blank=True, default="")
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-queued_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="socialsongs_delivery_once"),
        ]
        indexes = [
            # Claim: WHERE endpoint = .. AND state = 'waiting' AND next_at <= .. ORDER BY next_at
            models.Index(
                fields=["endpoint", "next_at"],
                condition=models.Q(state="waiting"),
                name="socialsongs_delivery_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"
