"""Preview clips are audio, which their content says: neither the file's name nor the client's type is looked at."""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import BinaryIO, cast

from django.core.exceptions import ValidationError
from django.db.models.fields.files import FieldFile
from tinytag import TinyTag, TinyTagException

from .conf import MIB, config

# What browsers play, by the ending under which it is stored: it is served as nothing else.
TYPES = {".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".flac": "audio/flac", ".wav": "audio/wav"}
# Under this it is a header without sound.
SHORTEST_SECONDS = 0.1
ENDINGS = {kind: ending for ending, kind in TYPES.items()}


def ending_of(file: BinaryIO) -> str | None:
    """The ending for what is in the file; None: nothing that browsers play."""
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
    """The media type of a stored clip; None: it was stored before clips were checked, under a name of another kind."""
    return TYPES.get(PurePath(name).suffix.lower())


def check_preview(clip: FieldFile) -> None:
    """A validator: what is stored already was checked then."""
    if clip._committed:  # type: ignore[attr-defined]
        return
    most = config().MAX_PREVIEW_BYTES
    if clip.size > most:
        raise ValidationError(
            f"The clip has {clip.size / MIB:.1f} MB; at most {most / MIB:.0f} MB are accepted. Send a shorter one.",
            code="preview_too_large",
        )
    if ending_of(cast(BinaryIO, clip.file)) is None:
        raise ValidationError(
            "This is not an MP3, M4A, Ogg, FLAC or WAV clip, whatever its name says. Save it in one of these formats.",
            code="not_audio",
        )


def name_preview(clip: FieldFile) -> None:
    """Before a checked clip is stored: the name is ours, with the ending of what is in it."""
    if clip and not clip._committed:  # type: ignore[attr-defined]
        clip.name = f"{uuid.uuid4().hex}{ending_of(cast(BinaryIO, clip.file))}"
