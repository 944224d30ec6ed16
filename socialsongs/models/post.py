"""Posts with their photos and thumbnails. A post's state is that of its analysis."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models
from django.utils.translation import gettext_lazy as _

from ..database import writer
from .base import AppModel
from .claimable import Claimable, State
from .photo import PhotoSubject
from .song import Song


class Post(Claimable):
    class Visibility(models.TextChoices):
        PRIVATE = "private", _("Private")
        PUBLIC = "public", _("Public")

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    # Null for an attached photo that belongs to nobody, or to whoever manages it (``attached/registry.py``).
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="socialsongs_posts",
        verbose_name=_("owner"),
    )
    # The photo of a host's model that this post is for; null for a post with photos of its own.
    subject = models.OneToOneField(
        PhotoSubject,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="post",
        verbose_name=_("subject"),
    )
    caption = models.CharField(_("caption"), max_length=2200, blank=True, default="")
    visibility = models.CharField(_("visibility"), max_length=8, choices=Visibility.choices, default=Visibility.PRIVATE)
    bulk = models.BooleanField(
        _("bulk"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Nobody waits for it: it is analysed in the bulk lane."),
    )
    chosen_song = models.ForeignKey(
        Song, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("chosen song")
    )
    # Written by the version before ``IdempotencyKey``, and by nothing else. They go with the next version.
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, blank=True, default="", editable=False)
    idempotency_fingerprint = models.CharField(
        _("idempotency fingerprint"), max_length=64, blank=True, default="", editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("post")
        verbose_name_plural = _("posts")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="socialsongs_post_idempotent",
            ),
        ]
        indexes = [
            # An owner's posts, newest first, cursor paged: WHERE owner = .. ORDER BY created_at DESC, id DESC
            models.Index(fields=["owner", "-created_at", "-id"], name="socialsongs_post_own"),
            # Claim of a lane: WHERE state IN ('queued', 'analysing') AND bulk = .. ORDER BY queued_at
            models.Index(
                fields=["bulk", "queued_at"],
                condition=models.Q(state__in=[State.QUEUED, State.ANALYSING]),
                name="socialsongs_post_lane",
            ),
            # Metrics: WHERE finished_at > .. (how long the posts of the last hour took)
            models.Index(fields=["finished_at"], name="socialsongs_post_finished"),
            # Admin: WHERE state = 'failed' ORDER BY created_at DESC
            models.Index(fields=["state", "-created_at"], name="socialsongs_post_state"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def photo_subjects(self) -> list[PhotoSubject]:
        """The subjects of its photos, in order."""
        return [subject for photo in self.photos.all() for subject in photo.photo_subjects]


class PostPhoto(AppModel):
    """A photo of a post: a file of its own, or the attached photo of a host (``Post.subject``), which has none here."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="photos", verbose_name=_("post"))
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    image = models.FileField(_("image"), upload_to="posts/", max_length=200, blank=True)
    # In pixels, upright. Null for an attached photo, whose file is not read before its analysis.
    width = models.PositiveIntegerField(_("width"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height"), null=True, blank=True)
    subjects = GenericRelation(PhotoSubject, object_id_field="object_id", related_query_name="post_photo")

    class Meta:
        verbose_name = _("post photo")
        verbose_name_plural = _("post photos")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["post", "position"], name="socialsongs_photo_position"),
        ]

    def __str__(self) -> str:
        return f"{self.post_id} #{self.position}"

    @property
    def photo_subjects(self) -> list[PhotoSubject]:
        """Its subject, as a list of one; empty for a photo whose subject was never stored."""
        return [self.post.subject] if self.post.subject else list(self.subjects.db_manager(writer()).all())


class Thumbnail(AppModel):
    """A small square from the middle of a photo, made when it is first requested."""

    class Side(models.IntegerChoices):
        """In pixels: for a tile in a list, and for a tile on a screen of double density."""

        TILE = 192, _("Tile")
        FINE_TILE = 384, _("Fine tile")

    photo = models.ForeignKey(PostPhoto, on_delete=models.CASCADE, related_name="thumbnails", verbose_name=_("photo"))
    side = models.PositiveSmallIntegerField(_("side"), choices=Side.choices)
    image = models.FileField(_("image"), upload_to="thumbnails/", max_length=200)

    class Meta:
        verbose_name = _("thumbnail")
        verbose_name_plural = _("thumbnails")
        constraints = [
            models.UniqueConstraint(fields=["photo", "side"], name="socialsongs_thumbnail_once"),
        ]

    def __str__(self) -> str:
        return f"{self.photo_id} at {self.side}"
