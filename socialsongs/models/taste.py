"""Whether a person's choices and skips influence their suggestions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .base import AppModel


class Taste(AppModel):
    """No row: the host has not turned taste on for this person. Taste is their feedback since ``since``."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="socialsongs_taste", verbose_name=_("user")
    )
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("Off: choices and skips do not influence suggestions.")
    )
    since = models.DateTimeField(
        _("since"), default=timezone.now, help_text=_("Earlier choices and skips do not count.")
    )

    class Meta:
        verbose_name = _("taste")
        verbose_name_plural = _("tastes")

    def __str__(self) -> str:
        return f"Taste of {self.user_id}"
