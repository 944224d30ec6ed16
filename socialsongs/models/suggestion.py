"""Requests, suggestions, and what people did with them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from .base import AppModel
from .claimable import Claimable, State
from .photo import PhotoSubject
from .post import Post
from .release import ModelRelease
from .song import Song


class RecommendationRequest(Claimable):
    """A question for songs. Each post has a default one; more can follow.

    ``parameters`` holds the values that differ from the default: limit, exclude, language, market, explicit, genre.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, null=True, blank=True, related_name="requests")
    # Of a request for a text alone; the owner of any other is its post's.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="socialsongs_requests"
    )
    # Unused: a photo of a host has a post of its own. Dropped by the version after the next one.
    subject = models.ForeignKey(PhotoSubject, on_delete=models.CASCADE, null=True, blank=True, related_name="requests")
    text = models.CharField(max_length=500, blank=True, default="")
    parameters = models.JSONField(default=dict, blank=True)
    is_default = models.BooleanField(default=False, editable=False)
    bulk = models.BooleanField(
        default=False, editable=False, help_text="Nobody waits for it: it is answered again in the bulk lane."
    )
    confident = models.BooleanField(null=True, editable=False, help_text="Of the answer: whether a song clearly fits.")
    notice = models.CharField(
        max_length=40,
        blank=True,
        default="",
        editable=False,
        help_text="Of the answer: code of the reason why songs are few.",
    )
    shown_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time of the owner's first impression."
    )
    release = models.ForeignKey(ModelRelease, on_delete=models.PROTECT, null=True, blank=True, related_name="requests")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
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

        MATCH = "match"
        EXPLORATION = "exploration"
        PIN = "pin"
        EDITORIAL = "editorial"
        POPULAR = "popular"
        NEAREST = "nearest"

    request = models.ForeignKey(RecommendationRequest, on_delete=models.CASCADE, related_name="suggestions")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="suggestions")
    release = models.ForeignKey(ModelRelease, on_delete=models.PROTECT, related_name="suggestions")
    rank = models.PositiveSmallIntegerField(help_text="Position in the list, from 1.")
    # 0 for a song whose relevance was not computed
    score = models.FloatField(help_text="Relevance, with the song's mean score subtracted.")
    confidence = models.FloatField(null=True, help_text="Probability that the song fits, 0 to 1, by the release.")
    propensity = models.FloatField(default=1.0, help_text="Probability with which the song got its position.")
    origin = models.CharField(max_length=11, choices=Origin.choices, default=Origin.MATCH)
    # [{"tag", "kind", "weight"}]: rules by name (kind "pin", "boost" or "bury"), then the photo's tags that support
    # the song, by weight
    reasons = models.JSONField(default=list)
    line = models.CharField(max_length=500, blank=True, default="", help_text="The lyric line that fits.")
    line_index = models.PositiveIntegerField(
        null=True, blank=True, help_text="Index of the line in the lyrics, from 0."
    )
    clip_start_ms = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["rank"]
        constraints = [
            models.UniqueConstraint(fields=["request", "rank"], name="socialsongs_suggestion_rank_once"),
            models.UniqueConstraint(fields=["request", "song"], name="socialsongs_suggestion_song_once"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} #{self.rank}"


class Feedback(AppModel):
    class Kind(models.TextChoices):
        IMPRESSION = "impression"
        PLAY = "play"
        SKIP = "skip"
        CHOOSE = "choose"
        HIDE = "hide"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="socialsongs_feedback"
    )
    # Null, as is ``user``, after the post was deleted. The row still counts for the song, but leads to nobody.
    request = models.ForeignKey(RecommendationRequest, on_delete=models.SET_NULL, null=True, related_name="feedback")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="feedback")
    release = models.ForeignKey(ModelRelease, on_delete=models.PROTECT, related_name="feedback")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    rank = models.PositiveSmallIntegerField()
    propensity = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "feedback"
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
