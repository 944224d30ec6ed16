"""Makes small copies of photos for lists when they are first requested, and keeps them beside the photos."""

from __future__ import annotations

import io
import logging
import uuid
from pathlib import Path
from typing import IO

from django.core.files.base import ContentFile
from django.db import DatabaseError
from PIL import Image, ImageOps

from ..database import atomic
from ..models import PostPhoto, Thumbnail
from .photo_files import open_photo

QUALITY = 72

logger = logging.getLogger(__name__)


def thumbnail(*, photo: PostPhoto, side: int) -> IO[bytes]:
    """Return a WebP of a square from the middle of the photo. Raises as ``open_photo``."""
    if kept := Thumbnail.objects.filter(photo=photo, side=side).first():
        try:
            return kept.image.storage.open(str(kept.image.name))
        except FileNotFoundError:
            kept.delete()  # the storage lost the file: make it again
    with open_photo(photo=photo) as file:
        webp = shrunk(file, side)
    try:
        _keep(photo=photo, side=side, webp=webp)
    except (OSError, DatabaseError) as error:  # a full disk or a read-only database: return it all the same
        logger.warning("The thumbnail of photo %s could not be stored: %s", photo.pk, error)
    return io.BytesIO(webp)


def shrunk(file: IO[bytes] | Path, side: int) -> bytes:
    with Image.open(file) as image:
        image.draft("RGB", (2 * side, 2 * side))  # JPEG: decode at a fraction of its size
        square = ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
    webp = io.BytesIO()
    square.save(webp, "WEBP", quality=QUALITY)
    return webp.getvalue()


def _keep(*, photo: PostPhoto, side: int, webp: bytes) -> None:
    """Store row and file, unless another process was first or the photo was deleted meanwhile."""
    file = Thumbnail(photo=photo, side=side).image
    file.save(f"{uuid.uuid4().hex}.webp", ContentFile(webp), save=False)
    created = False
    try:
        with atomic():
            if PostPhoto.objects.select_for_update(no_key=True).filter(pk=photo.pk).exists():
                kept = {"image": file.name}
                _, created = Thumbnail.objects.get_or_create(photo=photo, side=side, defaults=kept)
    finally:
        if not created:
            file.storage.delete(str(file.name))
