"""The one thing that is taken from a photo's metadata: how it is to be turned. Nothing else is read."""

from __future__ import annotations

import re
import struct

ORIENTATION = 0x0112
# Types of a whole number in TIFF: struct's format for each.
NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
UPRIGHT = 1


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """1 to 8 as in Exif; 1 when nothing, or nothing sensible, is said."""
    found = _in_exif(exif.removeprefix(b"Exif\0\0"))
    if found is None and (said := IN_XMP.search(xmp)):
        found = int(said[1])
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
    except struct.error:  # the directory is cut off
        pass
    return None


def _value(tiff: bytes, order: str, kind: int, place: int) -> int | None:
    if kind not in NUMBERS:
        return None
    (value,) = struct.unpack_from(order + NUMBERS[kind], tiff, place)
    return value if 1 <= value <= 8 else None
