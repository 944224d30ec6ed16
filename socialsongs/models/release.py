"""Releases of the trained model, by name and checksum. The weights are files, not rows."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from .base import AppModel

# Dimensions of photo vectors and line states, and of vectors in the search space (``recommender.space``). Loading a
# release compares its own dimensions with these.
EMBEDDING_DIM = 128
SEARCH_DIM = EMBEDDING_DIM + 1


class ModelRelease(AppModel):
    class State(models.TextChoices):
        STAGED = "staged"
        ACTIVE = "active"
        RETIRED = "retired"

    name = models.SlugField(max_length=64, unique=True)
    sha256 = models.CharField("SHA-256", max_length=64, help_text="Checksum of the weights file.")
    card = models.JSONField(default=dict, blank=True, help_text="The model card that travels with the weights.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.STAGED)
    share = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        validators=[MaxValueValidator(99)],
        help_text="Staged: percentage of people whom it serves instead of the active release.",
    )
    paused = models.BooleanField(default=False, help_text="No songs are encoded for it while this is set.")
    songs_per_second = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text="Most songs encoded per second; empty: no limit.",
    )
    encode_after = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Time at which the limit allows the next batch."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            # At most one release is active.
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="active"), name="socialsongs_one_active_release"
            ),
        ]

    def __str__(self) -> str:
        return self.name
