"""Reads the orientation from a photo's metadata, and nothing else."""

from __future__ import annotations

import re
import struct

ORIENTATION = 0x0112
# Whole-number types of TIFF, with their formats in struct.
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
UPRIGHT = 1


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8 as in Exif; 1 when it is missing or invalid."""
    found = _in_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None and (match := IN_XMP.search(xmp)):
        found = int(match[1])
    return found or UPRIGHT


def _in_exif(tiff: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == ORIENTATION:
                return _value(tiff, order, kind, entry + 8)
    except struct.error:  # the directory is truncated
        pass
    return None


def _value(tiff: bytes, order: str, kind: int, place: int) -> int | None:
    if kind not in NUMBERS:
        return None
    (value,) = struct.unpack_from(order + NUMBERS[kind], tiff, place)
    return value if 1 <= value <= 8 else None
