"""Accepts and names preview clips by their content alone: the file's name and the client's type do not count."""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import Any, BinaryIO, cast

from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import models
from django.db.models.fields.files import FieldFile
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from tinytag import TinyTag, TinyTagException

from .conf import MIB, config

# The formats that browsers play: the extension under which a clip is stored, and the media type of its responses.
TYPES = {".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".flac": "audio/flac", ".wav": "audio/wav"}
# A shorter file is a header without sound.
SHORTEST_SECONDS = 0.1
ENDINGS = {kind: ending for ending, kind in TYPES.items()}


def ending_of(file: BinaryIO) -> str | None:
    """Return the extension for the file's content; None when browsers cannot play it."""
    file.seek(0)
    try:
        found = TinyTag.get(file_obj=file, tags=False)
    except TinyTagException:
        return None
    finally:
        file.seek(0)
    kind = (found.mime_type or "").partition(";")[0]
    return ENDINGS.get(kind) if (found.duration or 0.0) >= SHORTEST_SECONDS else None


def type_of(name: str) -> str | None:
    """Return the media type of a stored clip; None for other extensions, from before clips were checked."""
    return TYPES.get(PurePath(name).suffix.lower())


def check_preview(clip: FieldFile) -> None:
    """Validate a new clip; a stored one was checked before. Raises ValidationError."""
    if clip._committed:  # type: ignore[attr-defined]
        return
    most = config().MAX_PREVIEW_BYTES
    if clip.size > most:
        raise ValidationError(
            _("The clip has %(size)s MB; at most %(most)s MB are accepted. Send a shorter one.")
            % {"size": number_format(round(clip.size / MIB, 1), 1), "most": number_format(round(most / MIB), 0)},
            code="preview_too_large",
        )
    accepted_ending(cast(BinaryIO, clip.file))


def accepted_ending(file: BinaryIO) -> str:
    """Return the extension for the file's content. Raises ValidationError when browsers cannot play it."""
    ending = ending_of(file)
    if ending is None:
        raise ValidationError(
            _(
                "This is not an MP3, M4A, Ogg, FLAC or WAV clip, whatever its name says. Save it in one of these "
                "formats."
            ),
            code="not_audio",
        )
    return ending


class PreviewFieldFile(FieldFile):
    def save(self, name: str | None, content: File[bytes], save: bool = True) -> None:
        """Store a clip under a random name with the extension of its content, so that no storage's own address sends
        it as a page. Raises ValidationError when it is no clip."""
        super().save(f"{uuid.uuid4().hex}{accepted_ending(cast(BinaryIO, content))}", content, save)


class PreviewField(models.FileField):
    """A file field for clips, whoever stores them: services, the admin, or a host's script."""

    attr_class = PreviewFieldFile

    def deconstruct(self) -> Any:
        """Be a FileField to migrations: the database knows no difference."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.FileField", args, kwargs
