"""Access records: who saw private posts of others. They hold plain ids, so they outlive posts and people."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .base import AppModel


class PostAccess(AppModel):
    """A person with the permission to view posts saw a private post: one row for each door and hour."""

    class Door(models.TextChoices):
        PAGE = "page", _("Page")
        API = "api", _("API")
        PHOTO = "photo", _("Photo")
        ADMIN = "admin", _("Admin")

    reader = models.CharField(_("reader"), max_length=64, help_text=_("Id of the person who saw the post."))
    reader_name = models.CharField(_("reader name"), max_length=254, help_text=_("The person's name at that time."))
    post = models.CharField(_("post"), max_length=36, help_text=_("Id of the post."))
    owner = models.CharField(_("owner"), max_length=64, help_text=_("Id of the post's owner."))
    door = models.CharField(_("door"), max_length=5, choices=Door.choices, help_text=_("Where the person saw it."))
    hour = models.DateTimeField(_("hour"), help_text=_("The hour for which the row stands."))
    first_at = models.DateTimeField(_("first at"), auto_now_add=True, help_text=_("The first access in that hour."))

    class Meta:
        verbose_name = _("post access")
        verbose_name_plural = _("post accesses")
        ordering = ["-first_at", "-pk"]
        default_permissions = ["view"]
        constraints = [
            # Record an access: INSERT .. ON CONFLICT DO NOTHING
            models.UniqueConstraint(fields=["reader", "post", "door", "hour"], name="socialsongs_access_hourly"),
        ]
        indexes = [
            # Admin: newest first
            models.Index(fields=["-first_at", "-id"], name="socialsongs_access_newest"),
            # Admin: WHERE post = ..
            models.Index(fields=["post"], name="socialsongs_access_post"),
        ]

    def __str__(self) -> str:
        return f"{self.reader_name}: {self.post}"
