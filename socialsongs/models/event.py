"""Events: what happened to posts, until receivers and endpoints have heard of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .base import AppModel
from .post import Post
from .suggestion import RecommendationRequest


class Event(AppModel):
    """Written in the transaction that changes the state of a post (``services/events.py``), so that neither is lost.

    It is deleted with its post: whoever has not heard of it by then, does not.
    """

    class Kind(models.TextChoices):
        SUGGESTIONS_READY = "suggestions_ready", _("Suggestions Ready")
        SONG_CHOSEN = "song_chosen", _("Song Chosen")
        SONG_UNCHOSEN = "song_unchosen", _("Song Unchosen")
        POST_FAILED = "post_failed", _("Post Failed")
        PING = "ping", _("Ping")  # for one endpoint only

        @classmethod
        def told(cls) -> list[tuple[str, Any]]:
            """Return the choices of which an endpoint may want some; a ping is sent to each."""
            return [choice for choice in cls.choices if choice[0] != cls.PING]

    class State(models.TextChoices):
        """Of the signal; deliveries to endpoints have states of their own."""

        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    post = models.ForeignKey(
        Post, on_delete=models.CASCADE, null=True, blank=True, related_name="events", verbose_name=_("post")
    )
    request = models.ForeignKey(
        RecommendationRequest,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("request"),
    )
    song = models.UUIDField(_("song"), null=True, blank=True)  # no foreign key: it may have been deleted just now
    reason = models.CharField(
        _("reason"), max_length=40, blank=True, default="", help_text=_("Code of the reason why a post failed.")
    )
    challenge = models.CharField(
        _("challenge"), max_length=64, blank=True, default="", help_text=_("Of a ping: what is to be answered.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    fanned_out = models.BooleanField(
        _("fanned out"), default=False, help_text=_("Whether its deliveries to endpoints have been made.")
    )
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(
        _("next at"), db_default=Now(), help_text=_("When its signal is sent, or sent again.")
    )
    failing = ArrayField(
        models.CharField(max_length=300),
        default=list,
        blank=True,
        help_text=_("Receivers that failed."),
        verbose_name=_("failing"),
    )
    error = models.TextField(_("error"), blank=True, default="")

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-created_at", "-id"]
        indexes = [
            # Fan-out: WHERE NOT fanned_out ORDER BY created_at
            models.Index(fields=["created_at"], condition=models.Q(fanned_out=False), name="socialsongs_event_new"),
            # Signals: WHERE state = 'waiting' AND next_at <= .. ORDER BY next_at
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="socialsongs_event_waiting"),
            # Deletion after EVENT_RETENTION_DAYS, admin, replay: WHERE created_at < .. ORDER BY created_at
            models.Index(fields=["created_at", "id"], name="socialsongs_event_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
