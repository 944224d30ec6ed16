"""Access records: who saw private posts of others. They hold plain ids, so they outlive posts and people."""

from __future__ import annotations

from django.db import models

from .base import AppModel


class PostAccess(AppModel):
    """A person with the permission to view posts saw a private post: one row for each door and hour."""

    class Door(models.TextChoices):
        PAGE = "page"
        API = "api", "API"
        PHOTO = "photo"
        ADMIN = "admin"

    reader = models.CharField(max_length=64, help_text="Id of the person who saw the post.")
    reader_name = models.CharField(max_length=254, help_text="The person's name at that time.")
    post = models.CharField(max_length=36, help_text="Id of the post.")
    owner = models.CharField(max_length=64, help_text="Id of the post's owner.")
    door = models.CharField(max_length=5, choices=Door.choices, help_text="Where the person saw it.")
    hour = models.DateTimeField(help_text="The hour for which the row stands.")
    first_at = models.DateTimeField(auto_now_add=True, help_text="The first access in that hour.")

    class Meta:
        verbose_name_plural = "post accesses"
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
