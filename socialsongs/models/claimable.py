"""Rows that workers claim. The row, not the broker, says what work there is."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel


class State(models.TextChoices):
    QUEUED = "queued", _("Queued")
    ANALYSING = "analysing", _("Analysing")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


class Claimable(AppModel):
    """State, reason, attempts and lease of one piece of work.

    A worker takes a row with a conditional UPDATE under SKIP LOCKED, counts the attempt at
    the claim (a process that dies has used one up) and holds it until ``lease_expires_at`` by
    the *database's* clock. Results are written only while ``lease_token`` is still the worker's own.
    """

    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED, editable=False)
    reason = models.CharField(
        _("reason"),
        max_length=40,
        blank=True,
        default="",
        editable=False,
        help_text=_("Code of the reason why the work failed."),
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, editable=False)
    lease_token = models.UUIDField(_("lease token"), null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True, editable=False)
    queued_at = models.DateTimeField(_("queued at"), auto_now_add=True, editable=False)
    delayed_since = models.DateTimeField(
        _("delayed since"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Start of the outage for which it waits."),
    )
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True
