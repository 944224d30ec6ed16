"""Requests, suggestions, and what people did with them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel
from .claimable import Claimable, State
from .photo import PhotoSubject
from .post import Post
from .release import ModelRelease
from .song import Song

# Kind of the reasons that are words of the request's text.
WISH = "wish"


class RecommendationRequest(Claimable):
    """A question for songs. Each post has a default one; more can follow.

    ``parameters`` holds the values that differ from the default: limit, exclude, language, market, explicit, genre.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    post = models.ForeignKey(
        Post, on_delete=models.CASCADE, null=True, blank=True, related_name="requests", verbose_name=_("post")
    )
    # Of a request for a text alone; the owner of any other is its post's.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="socialsongs_requests",
        verbose_name=_("owner"),
    )
    # Unused: a photo of a host has a post of its own. Dropped by the version after the next one.
    subject = models.ForeignKey(
        PhotoSubject,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="requests",
        verbose_name=_("subject"),
    )
    text = models.CharField(_("text"), max_length=500, blank=True, default="")
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    is_default = models.BooleanField(_("default request"), default=False, editable=False)
    bulk = models.BooleanField(
        _("bulk"),
        default=False,
        editable=False,
        help_text=_("Nobody waits for it: it is answered again in the bulk lane."),
    )
    confident = models.BooleanField(
        _("confident"), null=True, editable=False, help_text=_("Of the answer: whether a song clearly fits.")
    )
    notice = models.CharField(
        _("notice"),
        max_length=40,
        blank=True,
        default="",
        editable=False,
        help_text=_("Of the answer: code of the reason why songs are few."),
    )
    unused = models.JSONField(
        _("unused words"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Of the answer: words of the text that had no effect."),
    )
    shown_at = models.DateTimeField(
        _("shown at"), null=True, blank=True, editable=False, help_text=_("Time of the owner's first impression.")
    )
    release = models.ForeignKey(
        ModelRelease,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="requests",
        verbose_name=_("release"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("recommendation request")
        verbose_name_plural = _("recommendation requests")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(post__isnull=False) | models.Q(subject__isnull=False) | ~models.Q(text=""),
                name="socialsongs_request_asks_something",
            ),
            models.UniqueConstraint(
                fields=["post"], condition=models.Q(is_default=True), name="socialsongs_one_default_request"
            ),
        ]
        indexes = [
            # Claim of a lane: WHERE state IN ('queued', 'analysing') AND bulk = .. ORDER BY queued_at
            models.Index(
                fields=["bulk", "queued_at"],
                condition=models.Q(state__in=[State.QUEUED, State.ANALYSING]),
                name="socialsongs_request_claim",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Suggestion(AppModel):
    class Origin(models.TextChoices):
        """How a song came into the list; the last three are used when no song fits clearly."""

        MATCH = "match", _("Match")
        EXPLORATION = "exploration", _("Exploration")
        PIN = "pin", _("Pin")
        EDITORIAL = "editorial", _("Editorial")
        POPULAR = "popular", _("Popular")
        NEAREST = "nearest", _("Nearest")

    request = models.ForeignKey(
        RecommendationRequest, on_delete=models.CASCADE, related_name="suggestions", verbose_name=_("request")
    )
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="suggestions", verbose_name=_("song"))
    release = models.ForeignKey(
        ModelRelease, on_delete=models.PROTECT, related_name="suggestions", verbose_name=_("release")
    )
    rank = models.PositiveSmallIntegerField(_("rank"), help_text=_("Position in the list, from 1."))
    # 0 for a song whose relevance was not computed
    score = models.FloatField(_("score"), help_text=_("Relevance, with the song's mean score subtracted."))
    confidence = models.FloatField(
        _("confidence"), null=True, help_text=_("Probability that the song fits, 0 to 1, by the release.")
    )
    propensity = models.FloatField(
        _("propensity"), default=1.0, help_text=_("Probability with which the song got its position.")
    )
    origin = models.CharField(_("origin"), max_length=11, choices=Origin.choices, default=Origin.MATCH)
    # [{"tag", "kind", "weight"}]: rules by name (kind "pin", "boost" or "bury"), words of the text (WISH), then the
    # photo's tags that support the song, by weight
    reasons = models.JSONField(_("reasons"), default=list)
    line = models.CharField(_("line"), max_length=500, blank=True, default="", help_text=_("The lyric line that fits."))
    line_index = models.PositiveIntegerField(
        _("line index"), null=True, blank=True, help_text=_("Index of the line in the lyrics, from 0.")
    )
    clip_start_ms = models.PositiveIntegerField(_("clip start ms"), null=True, blank=True)

    class Meta:
        verbose_name = _("suggestion")
        verbose_name_plural = _("suggestions")
        ordering = ["rank"]
        constraints = [
            models.UniqueConstraint(fields=["request", "rank"], name="socialsongs_suggestion_rank_once"),
            models.UniqueConstraint(fields=["request", "song"], name="socialsongs_suggestion_song_once"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} #{self.rank}"


class Feedback(AppModel):
    class Kind(models.TextChoices):
        IMPRESSION = "impression", _("Impression")
        PLAY = "play", _("Play")
        SKIP = "skip", _("Skip")
        CHOOSE = "choose", _("Choose")
        HIDE = "hide", _("Hide")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="socialsongs_feedback",
        verbose_name=_("user"),
    )
    # Null, as is ``user``, after the post was deleted. The row still counts for the song, but leads to nobody.
    request = models.ForeignKey(
        RecommendationRequest, on_delete=models.SET_NULL, null=True, related_name="feedback", verbose_name=_("request")
    )
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="feedback", verbose_name=_("song"))
    release = models.ForeignKey(
        ModelRelease, on_delete=models.PROTECT, related_name="feedback", verbose_name=_("release")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    rank = models.PositiveSmallIntegerField(_("rank"))
    propensity = models.FloatField(_("propensity"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        constraints = [
            # Repeated feedback counts once.
            models.UniqueConstraint(
                fields=["request", "song", "kind", "user", "release"], name="socialsongs_feedback_once"
            ),
        ]
        indexes = [
            # Choose rate by release over time: WHERE release = .. AND kind = .. AND created_at >= ..
            models.Index(fields=["release", "kind", "created_at"], name="socialsongs_feedback_rate"),
            # A person's taste: WHERE user = .. AND kind IN ('choose', 'skip', 'hide') ORDER BY created_at DESC LIMIT ..
            models.Index(fields=["user", "-created_at"], name="socialsongs_feedback_taste"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.song_id}"
