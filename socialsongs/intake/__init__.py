"""Checks and re-encodes an uploaded photo before anything is stored.

In this order: size; type by the bytes; the header's parts, pixels, frames and memory; full decoding in a separate
process; orientation; colour; a new JPEG without Exif, GPS or any other byte of the upload. Each reason to refuse has an
error of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.files.base import File

from ..conf import MIB, config
from ..decoding.messages import Task
from . import heif, jpeg, png, pool, webp
from .errors import (
    DamagedPhoto,
    EmptyFile,
    FileTooLarge,
    IntakeError,
    NotAPhoto,
    TookTooLong,
    TooManyFrames,
    TooManyParts,
    TooManyPixels,
    TooMuchMemory,
    TooSmall,
    Undecodable,
)
from .header import Header, damaged

__all__ = [
    "CleanPhoto",
    "DamagedPhoto",
    "EmptyFile",
    "FileTooLarge",
    "IntakeError",
    "NotAPhoto",
    "TooManyFrames",
    "TooManyParts",
    "TooManyPixels",
    "TooMuchMemory",
    "TooSmall",
    "TookTooLong",
    "Undecodable",
    "clean_bytes",
    "clean_photo",
]

MIN_SIDE = 32


@dataclass(frozen=True)
class CleanPhoto:
    """A photo that is safe to store: JPEG bytes, upright, sRGB, no metadata; size in pixels."""

    jpeg: bytes
    width: int
    height: int


def clean_photo(upload: File[Any]) -> CleanPhoto:
    """Check and re-encode one upload. Raises an IntakeError with the reason, or DecodersUnavailable."""
    limits = config()
    if not upload.size:
        raise EmptyFile("The file is empty. Choose the photo again.")
    if upload.size > limits.MAX_UPLOAD_BYTES:
        raise FileTooLarge(
            f"The file has {upload.size / MIB:.1f} MB; at most {limits.MAX_UPLOAD_BYTES / MIB:.0f} MB are accepted. "
            "Send a smaller copy of the photo."
        )
    upload.seek(0)
    return clean_bytes(upload.read())


def clean_bytes(data: bytes) -> CleanPhoto:
    """Check and re-encode the bytes of a file of any size; raises as ``clean_photo``."""
    header = _read_header(data)
    _check_size(header)
    _check_frames(header.frames)
    _check_memory(header)
    return _decode(header)


def _read_header(data: bytes) -> Header:
    """Read the header of the format that the bytes show; the client's file name and content type do not count."""
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg.read_header(data, config().STORED_LONG_SIDE)
    if data.startswith(png.SIGNATURE):
        return png.read_header(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp.read_header(data)
    if heif.is_heif(data):
        return heif.read_header(data)
    raise NotAPhoto(
        "This is not a JPEG, PNG, WebP or HEIC photo, whatever its name says. Save it in one of these formats."
    )


def _check_size(header: Header) -> None:
    limit = config().MAX_PIXELS
    if header.width * header.height > limit:
        raise TooManyPixels(
            f"The photo is {header.width} x {header.height}. At most {limit / 1e6:.0f} million pixels are accepted. "
            "Send a smaller copy of the photo."
        )
    if min(header.width, header.height) < MIN_SIDE:
        raise TooSmall(
            f"The photo is {header.width} x {header.height} pixels; each side needs at least {MIN_SIDE}. "
            "Choose a larger one."
        )


def _check_frames(frames: int) -> None:
    limit = config().MAX_FRAMES
    if frames > limit:
        raise TooManyFrames(f"The photo has {frames} frames; at most {limit} are accepted. Send a still photo.")


def _check_memory(header: Header) -> None:
    limit = config().DECODE_MEMORY_MIB
    if header.memory > limit * MIB:
        raise _too_much_memory(f"The photo is {header.width} x {header.height}. As {header.format} of this kind it")


def _too_much_memory(what: str) -> TooMuchMemory:
    return TooMuchMemory(
        f"{what} needs more than {config().DECODE_MEMORY_MIB} MB of memory to decode. "
        "Send a smaller copy of the photo, or an ordinary JPEG."
    )


def _decode(header: Header) -> CleanPhoto:
    limits = config()
    task = Task(
        format=header.format,
        width=header.width,
        height=header.height,
        orientation=header.orientation,
        complete=header.complete,
        frames=limits.MAX_FRAMES,
        side=limits.STORED_LONG_SIDE,
        quality=limits.JPEG_QUALITY,
    )
    answer, parts = pool.decode(task, header.content, header.profile)
    match answer.get("refused"):
        case None:
            return CleanPhoto(parts[0], answer["width"], answer["height"])
        case "memory":
            raise _too_much_memory("The photo")
        case "frames":
            _check_frames(answer["frames"])
    raise damaged()
