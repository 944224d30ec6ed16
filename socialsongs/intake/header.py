"""What a file says of itself before anything is decoded: see jpeg.py, png.py, webp.py and heif.py."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DamagedPhoto, TooManyParts

# Of a JPEG, chunks of a PNG or WebP, boxes and items of a HEIC. Long metadata come to some hundreds.
MAX_PARTS = 200_000
# Longer colour profiles and texts than that are skipped.
MAX_PROFILE_BYTES = MAX_TEXT_BYTES = 4 * 1024 * 1024

DAMAGED = "The photo is damaged or not complete. Upload it again, or export a fresh copy."


@dataclass(frozen=True, kw_only=True)
class Header:
    """``content``: what a decoder needs of the file, without texts, metadata and profile. ``memory``: bytes that
    decoding allocates for the picture. ``complete``: false for a JPEG without its end marker."""

    format: str
    width: int
    height: int
    content: bytes
    memory: int
    frames: int = 1
    orientation: int = 1
    profile: bytes = b""
    complete: bool = True


def damaged() -> DamagedPhoto:
    return DamagedPhoto(DAMAGED)


def too_many_parts(parts: str) -> TooManyParts:
    return TooManyParts(f"The file is made of more {parts} than a photo has. Export a fresh copy of the photo.")
