"""API clients (platforms that reach the API over HTTP), their keys, and the people on whose behalf they act."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from ..conf import RATE
from ..plain_text import plain_text
from .base import AppModel

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Scope(models.TextChoices):
    """What a key may be used for."""

    POSTS_READ = "posts:read"
    POSTS_WRITE = "posts:write"
    FEEDBACK_READ = "feedback:read"
    FEEDBACK_WRITE = "feedback:write"
    SONGS_READ = "songs:read"
    SONGS_WRITE = "songs:write"
    USERS_WRITE = "users:write"
    WEBHOOKS_MANAGE = "webhooks:manage"


def _scopes(about: StrOrPromise) -> ArrayField[list[str], list[str]]:
    return ArrayField(models.CharField(max_length=32, choices=Scope.choices), help_text=about)


class ApiClient(AppModel):
    """A platform with keys. Its people, and their posts, are apart from those of the site and of other clients."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        _("name"), max_length=100, unique=True, validators=[plain_text], help_text=_("Name of the platform.")
    )
    scopes = _scopes(_("What its keys may be used for, at most."))
    rate = models.CharField(
        _("rate"),
        max_length=20,
        blank=True,
        default="",
        validators=[RegexValidator(rf"^({RATE.pattern})\Z", _("Give a rate such as 36000/hour."))],
        help_text=_("Requests of all its keys together, such as 36000/hour; empty: the setting CLIENT_RATE."),
    )
    shares_public_posts = models.BooleanField(
        _("shares public posts"),
        default=False,
        help_text=_(
            "Its people and those of the site see each other's public posts. Otherwise only its own people do."
        ),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Off: all its keys are refused."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name_plural = _("API clients")
        verbose_name = _("API client")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiKey(AppModel):
    """A secret of an API client. The text of the key is not stored; its SHA-256 is (``services/api_keys.py``)."""

    client = models.ForeignKey(ApiClient, on_delete=models.CASCADE, related_name="keys", verbose_name=_("client"))
    name = models.CharField(_("name"), max_length=100, validators=[plain_text], help_text=_("Purpose of the key."))
    prefix = models.CharField(
        _("prefix"), max_length=12, unique=True, editable=False, help_text=_("Public part of the key.")
    )
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    scopes = _scopes(_("What the key may be used for, as far as its client may."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("Empty: valid until it is revoked.")
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(
        _("last used at"), null=True, blank=True, editable=False, help_text=_("Last use, to the hour.")
    )

    class Meta:
        verbose_name_plural = _("API keys")
        verbose_name = _("API key")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class SongSource(AppModel):
    """A source whose songs one API client alone writes over the API (``services/song_sources.py``)."""

    name = models.CharField(_("name"), max_length=100, unique=True, validators=[plain_text])
    client = models.ForeignKey(
        ApiClient, on_delete=models.CASCADE, related_name="song_sources", verbose_name=_("client")
    )

    class Meta:
        verbose_name = _("source of songs")
        verbose_name_plural = _("sources of songs")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ExternalUser(AppModel):
    """A person of an API client: maps the client's id of them to an account of the site."""

    # A client is deleted by ``services.external_users.delete_client``, which deletes the accounts, too.
    client = models.ForeignKey(
        ApiClient, on_delete=models.PROTECT, related_name="external_users", verbose_name=_("client")
    )
    external_id = models.CharField(_("external id"), max_length=255, help_text=_("The client's id of the person."))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="socialsongs_external_users",
        verbose_name=_("user"),
    )
    made = models.BooleanField(
        _("made"), help_text=_("The account was made for this person of the client, and is deleted with it.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("external user")
        verbose_name_plural = _("external users")
        ordering = ["client", "external_id"]
        constraints = [
            # Each request on behalf of somebody: WHERE client = .. AND external_id = ..
            models.UniqueConstraint(fields=["client", "external_id"], name="socialsongs_external_user_once"),
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(made=True), name="socialsongs_external_user_own_account"
            ),
        ]

    def __str__(self) -> str:
        return self.external_id
