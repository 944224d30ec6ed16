"""Releases of the trained model, by name and checksum. The weights are files, not rows."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel

# Dimensions of photo vectors and line states, and of vectors in the search space (``recommender.space``). Loading a
# release compares its own dimensions with these.
EMBEDDING_DIM = 128
SEARCH_DIM = EMBEDDING_DIM + 1


class ModelRelease(AppModel):
    class State(models.TextChoices):
        STAGED = "staged", _("Staged")
        ACTIVE = "active", _("Active")
        RETIRED = "retired", _("Retired")

    name = models.SlugField(_("name"), max_length=64, unique=True)
    sha256 = models.CharField(_("SHA-256"), max_length=64, help_text=_("Checksum of the weights file."))
    card = models.JSONField(
        _("card"), default=dict, blank=True, help_text=_("The model card that travels with the weights.")
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.STAGED)
    share = models.PositiveSmallIntegerField(
        _("share"),
        default=0,
        editable=False,
        validators=[MaxValueValidator(99)],
        help_text=_("Staged: percentage of people whom it serves instead of the active release."),
    )
    paused = models.BooleanField(
        _("paused"), default=False, help_text=_("No songs are encoded for it while this is set.")
    )
    songs_per_second = models.FloatField(
        _("songs per second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text=_("Most songs encoded per second; empty: no limit."),
    )
    encode_after = models.DateTimeField(
        _("encode after"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Time at which the limit allows the next batch."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated at"), null=True, blank=True)

    class Meta:
        verbose_name = _("model release")
        verbose_name_plural = _("model releases")
        ordering = ["-created_at", "-pk"]
        constraints = [
            # At most one release is active.
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="active"), name="socialsongs_one_active_release"
            ),
        ]

    def __str__(self) -> str:
        return self.name
