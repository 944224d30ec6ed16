"""Tokens for the API: several for each account, stored as digests, with scopes and an end."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class Token(AbstractAuthToken):
    """knox finds a token by its first characters, which are indexed, and compares the digest of the whole."""

    class Scope(models.TextChoices):
        READ = "read"
        WRITE = "write"
        METRICS = "metrics"

    name = models.CharField(_("name"), max_length=100, help_text=_("Purpose of the token."))
    scopes = ArrayField(models.CharField(max_length=7, choices=Scope.choices), verbose_name=_("scopes"))
    last_used_at = models.DateTimeField(
        _("last used at"), null=True, blank=True, help_text=_("Last use, to the minute.")
    )

    class Meta:
        verbose_name = _("token")
        verbose_name_plural = _("tokens")
        ordering = ["-created", "-pk"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="socialsongs_site_token_name")]

    def __str__(self) -> str:
        return self.name
