"""The files of photos: uploaded ones as stored, attached ones checked and re-encoded whenever they are read."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import IO

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from ..conf import MIB, config
from ..intake import FileTooLarge, clean_bytes
from ..models import PhotoSubject, PostPhoto


def open_photo(*, photo: PostPhoto) -> IO[bytes]:
    """Return the photo as JPEG, upright, without metadata; load it with ``post__subject``.

    Raises FileNotFoundError when its file is missing; IntakeError or DecodersUnavailable for an attached photo that
    cannot be decoded.
    """
    if photo.image:
        opened: IO[bytes] = photo.image.storage.open(str(photo.image.name))
        return opened
    if photo.post.subject is None:
        raise FileNotFoundError(f"Photo {photo.pk} has no file.")
    return BytesIO(clean_attached(subject=photo.post.subject))


def clean_attached(*, subject: PhotoSubject) -> bytes:
    """Return an attached photo as uploads are stored: JPEG, upright, sRGB, without metadata. Raises as ``open_photo``.

    It did not pass the checks of uploads, and has whatever its host stored.
    """
    most = config().MAX_UPLOAD_BYTES
    with subject.open() as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise FileTooLarge(_("The file is larger than %(most)s MB.") % {"most": number_format(round(most / MIB))})
    return clean_bytes(content).jpeg


def photo_version(*, photo: PostPhoto) -> str:
    """Return a text that changes with the file: an uploaded photo never changes, an attached one can."""
    subject = photo.post.subject
    return str(photo.pk) if subject is None else f"{photo.pk}-{sha256(subject.file_name.encode()).hexdigest()[:16]}"
