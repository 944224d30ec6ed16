"""Worker processes by their heartbeats: a solo pool does not answer Celery's own ping while a task runs."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel


class Worker(AppModel):
    class State(models.TextChoices):
        STARTING = "starting", _("Starting")
        READY = "ready", _("Ready")
        # Takes no work; ``problem`` says why.
        REFUSING = "refusing", _("Refusing")

    name = models.CharField(_("name"), max_length=200, unique=True, help_text=_("Celery's node name, inference@host."))
    host = models.CharField(_("host"), max_length=200)
    pid = models.PositiveIntegerField(_("process id"))
    queues = ArrayField(models.CharField(max_length=40), default=list, verbose_name=_("queues"))
    broker = models.CharField(
        _("broker"),
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text=_("Digest of the broker it listens on."),
    )
    device = models.CharField(_("device"), max_length=100, blank=True, default="", help_text=_("Device of the model."))
    release = models.CharField(
        _("release"), max_length=64, blank=True, default="", help_text=_("The release that it loaded last.")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.STARTING)
    problem = models.TextField(_("problem"), blank=True, default="")
    busy_seconds = models.FloatField(
        _("busy seconds"), default=0.0, help_text=_("Time that its present task has taken, in seconds.")
    )
    # Since its start: {"batches": {"interactive": {"16": 3}}, "seconds": {"decode": 1.2}}, and
    # {"memory": {"resident": bytes, "device": bytes}}
    figures = models.JSONField(_("figures"), default=dict, blank=True)
    started_at = models.DateTimeField(_("started at"))
    seen_at = models.DateTimeField(_("seen at"), help_text=_("Last heartbeat, by the database's clock."))

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["name"]
        permissions = [("view_metrics", "Can read the metrics")]

    def __str__(self) -> str:
        return self.name


class WakeUpSender(AppModel):
    """Where processes send wake-ups to: one row for each broker and queue prefix."""

    broker = models.CharField(_("broker"), max_length=16, help_text=_("Digest of the broker."))
    queue_prefix = models.CharField(_("queue prefix"), max_length=28)
    host = models.CharField(_("host"), max_length=200, help_text=_("Host of the last process that sent one."))
    sent_at = models.DateTimeField(_("sent at"), help_text=_("The last one, to some seconds, by the database's clock."))

    class Meta:
        verbose_name = _("wake up sender")
        verbose_name_plural = _("wake up senders")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["broker", "queue_prefix"], name="socialsongs_one_row_for_each_goal"),
        ]
