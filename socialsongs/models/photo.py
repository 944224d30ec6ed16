"""Subjects (photos of any Django model) and their analyses."""

from __future__ import annotations

import uuid
from typing import IO, Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField

from .base import AppModel
from .release import EMBEDDING_DIM, SEARCH_DIM, ModelRelease


class PhotoSubject(AppModel):
    """Points at an image field of any model: PostPhoto, or a photo model of the host."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    content_type = models.ForeignKey(
        ContentType, on_delete=models.CASCADE, related_name="+", verbose_name=_("content type")
    )
    object_id = models.CharField(_("object id"), max_length=64)
    field = models.CharField(
        _("field"), max_length=64, default="image", help_text=_("Name of the model's field that holds the file.")
    )
    photo = GenericForeignKey("content_type", "object_id")
    # Of an attached photo: the name of its file when it was last compared, so that another file is noticed.
    file_name = models.CharField(_("file name"), max_length=500, blank=True, default="", db_default="", editable=False)

    class Meta:
        verbose_name = _("photo subject")
        verbose_name_plural = _("photo subjects")
        constraints = [
            # Also the walk along attached photos: WHERE content_type = .. AND object_id IN (..)
            models.UniqueConstraint(fields=["content_type", "object_id", "field"], name="socialsongs_subject_once"),
        ]

    def __str__(self) -> str:
        return f"{self.content_type_id}/{self.object_id}.{self.field}"

    @property
    def label(self) -> str:
        """The name of the photo's model, "photos.photo"; by the cache of content types, without a query."""
        of_model = ContentType.objects.get_for_id(self.content_type_id)
        return f"{of_model.app_label}.{of_model.model}"

    def open(self) -> IO[bytes]:
        """Open the stored photo, from the storage of its own field.

        Raises FileNotFoundError when the photo's row or file is missing.
        """
        if self.photo is None:
            raise FileNotFoundError(f"The photo of subject {self.pk} no longer exists.")
        file: Any = getattr(self.photo, self.field)
        if not file:
            raise FileNotFoundError(f"The photo of subject {self.pk} has no file.")
        opened: IO[bytes] = file.storage.open(file.name, "rb")
        return opened


class PhotoAnalysis(AppModel):
    """The analysis of one photo by one release. No row: not analysed yet. No tags: nothing recognised."""

    subject = models.ForeignKey(
        PhotoSubject, on_delete=models.CASCADE, related_name="analyses", verbose_name=_("subject")
    )
    release = models.ForeignKey(
        ModelRelease, on_delete=models.CASCADE, related_name="photo_analyses", verbose_name=_("release")
    )
    # [{"name", "kind", "score" 0..1, "box" [x0, y0, x1, y1] as fractions of the upright photo}], best first
    tags = models.JSONField(_("tags"), default=list)
    # v: the input of tag attention, (EMBEDDING_DIM,)
    embedding = HalfVectorField(_("embedding"), dimensions=EMBEDDING_DIM)
    # v' for stage one, divided by the spread of its relevances, in the search space, (SEARCH_DIM,)
    direction = HalfVectorField(_("direction"), dimensions=SEARCH_DIM, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("photo analysis")
        verbose_name_plural = _("photo analyses")
        constraints = [
            models.UniqueConstraint(fields=["subject", "release"], name="socialsongs_analysis_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} by {self.release_id}"
