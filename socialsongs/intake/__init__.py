"""Checks and re-encodes an uploaded photo before anything is stored.

In this order: size; type by the bytes; the header's parts, pixels, frames and memory; full decoding in a separate
process; orientation; colour; a new JPEG without Exif, GPS or any other byte of the upload. Each reason to refuse has an
error of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.files.base import File
from django.utils.formats import number_format
from django.utils.translation import gettext as _

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
        raise EmptyFile(_("The file is empty. Choose the photo again."))
    if upload.size > limits.MAX_UPLOAD_BYTES:
        raise FileTooLarge(
            _("The file has %(size)s MB; at most %(most)s MB are accepted. Send a smaller copy of the photo.")
            % {
                "size": number_format(round(upload.size / MIB, 1), 1),
                "most": number_format(round(limits.MAX_UPLOAD_BYTES / MIB), 0),
            }
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
        _("This is not a JPEG, PNG, WebP or HEIC photo, whatever its name says. Save it in one of these formats.")
    )


def _check_size(header: Header) -> None:
    limit = config().MAX_PIXELS
    if header.width * header.height > limit:
        raise TooManyPixels(
            _(
                "The photo is %(width)s x %(height)s. At most %(most)s million pixels are accepted. Send a smaller "
                "copy of the photo."
            )
            % {"width": header.width, "height": header.height, "most": number_format(round(limit / 1e6), 0)}
        )
    if min(header.width, header.height) < MIN_SIDE:
        raise TooSmall(
            _("The photo is %(width)s x %(height)s pixels; each side needs at least %(least)s. Choose a larger one.")
            % {"width": header.width, "height": header.height, "least": MIN_SIDE}
        )


def _check_frames(frames: int) -> None:
    limit = config().MAX_FRAMES
    if frames > limit:
        raise TooManyFrames(
            _("The photo has %(frames)s frames; at most %(most)s are accepted. Send a still photo.")
            % {"frames": frames, "most": limit}
        )


def _check_memory(header: Header) -> None:
    limit = config().DECODE_MEMORY_MIB
    if header.memory > limit * MIB:
        raise TooMuchMemory(
            _(
                "The photo is %(width)s x %(height)s. As %(format)s of this kind it needs more than %(most)s MB of "
                "memory to decode. Send a smaller copy of the photo, or an ordinary JPEG."
            )
            % {"width": header.width, "height": header.height, "format": header.format, "most": limit}
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
            raise TooMuchMemory(
                _(
                    "The photo needs more than %(most)s MB of memory to decode. Send a smaller copy of the photo, or "
                    "an ordinary JPEG."
                )
                % {"most": config().DECODE_MEMORY_MIB}
            )
        case "frames":
            _check_frames(answer["frames"])
    raise damaged()
