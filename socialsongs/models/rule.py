"""Rules of staff: songs to pin, boost, bury or block, and for which photos, markets and times."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel
from .song import Song


class Rule(AppModel):
    """An action on songs (one, a genre or all) under conditions (tag of the photo, market, time); empty: any."""

    class Action(models.TextChoices):
        PIN = "pin", _("Pin")
        BOOST = "boost", _("Boost")
        BURY = "bury", _("Bury")
        BLOCK = "block", _("Block")

    name = models.CharField(
        _("name"), max_length=80, help_text=_("Shown as a reason beside a song that the rule pins, boosts or buries.")
    )
    action = models.CharField(_("action"), max_length=5, choices=Action.choices)
    strength = models.FloatField(
        _("strength"),
        default=1.0,
        validators=[MinValueValidator(0.1), MaxValueValidator(10.0)],
        help_text=_("Of boost and bury, in standard deviations of the relevances of songs for one photo."),
    )
    song = models.ForeignKey(
        Song, on_delete=models.CASCADE, null=True, blank=True, related_name="rules", verbose_name=_("song")
    )
    genre = models.CharField(_("genre"), max_length=60, blank=True, default="", help_text=_("Songs of this genre."))
    tag = models.CharField(
        _("tag"), max_length=60, blank=True, default="", help_text=_("Only for photos with this tag.")
    )
    market = models.CharField(
        _("market"),
        max_length=2,
        blank=True,
        default="",
        validators=[RegexValidator(r"^[A-Z]{2}$", _("Two capital letters, as in ISO 3166."))],
        help_text=_("Only for requests from this market."),
    )
    starts_at = models.DateTimeField(_("starts at"), null=True, blank=True)
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError."""
        if self.action == self.Action.PIN and self.song is None:
            raise ValidationError({"song": _("Choose the song to pin.")})
        if self.action in (self.Action.BOOST, self.Action.BURY) and self.song is None and not self.genre:
            raise ValidationError(
                {"song": _("Choose a song or a genre: a rule for all songs would not change their order.")}
            )
        if self.song is not None and self.genre:
            raise ValidationError({"genre": _("Choose either a song or a genre.")})
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("The end must be after the start.")})
