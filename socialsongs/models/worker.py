"""Worker processes by their heartbeats: a solo pool does not answer Celery's own ping while a task runs."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .base import AppModel


class Worker(AppModel):
    class State(models.TextChoices):
        STARTING = "starting"
        READY = "ready"
        # Takes no work; ``problem`` says why.
        REFUSING = "refusing"

    name = models.CharField(max_length=200, unique=True, help_text="Celery's node name, inference@host.")
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    queues = ArrayField(models.CharField(max_length=40), default=list)
    broker = models.CharField(max_length=16, blank=True, default="", help_text="Digest of the broker it listens on.")
    device = models.CharField(max_length=100, blank=True, default="", help_text="Device of the model.")
    release = models.CharField(max_length=64, blank=True, default="", help_text="The release that it loaded last.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.STARTING)
    problem = models.TextField(blank=True, default="")
    busy_seconds = models.FloatField(default=0.0, help_text="Time that its present task has taken, in seconds.")
    # Since its start: {"batches": {"interactive": {"16": 3}}, "seconds": {"decode": 1.2}}, and
    # {"memory": {"resident": bytes, "device": bytes}}
    figures = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="Last heartbeat, by the database's clock.")

    class Meta:
        ordering = ["name"]
        permissions = [("view_metrics", "Can read the metrics")]

    def __str__(self) -> str:
        return self.name


class WakeUpSender(AppModel):
    """Where processes send wake-ups to: one row for each broker and queue prefix."""

    broker = models.CharField(max_length=16, help_text="Digest of the broker.")
    queue_prefix = models.CharField(max_length=28)
    host = models.CharField(max_length=200, help_text="Host of the last process that sent one.")
    sent_at = models.DateTimeField(help_text="The last one, to some seconds, by the database's clock.")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["broker", "queue_prefix"], name="socialsongs_one_row_for_each_goal"),
        ]
