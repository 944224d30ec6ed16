"""Whether a person's choices and skips influence their suggestions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from .base import AppModel


class Taste(AppModel):
    """No row: the host has not turned taste on for this person. Taste is their feedback since ``since``."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="socialsongs_taste")
    enabled = models.BooleanField(default=True, help_text="Off: choices and skips do not influence suggestions.")
    since = models.DateTimeField(default=timezone.now, help_text="Earlier choices and skips do not count.")

    class Meta:
        verbose_name_plural = "tastes"

    def __str__(self) -> str:
        return f"Taste of {self.user_id}"
