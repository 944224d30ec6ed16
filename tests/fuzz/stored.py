"""Checks a stored photo without the code that stored it: a scan of the JPEG of its own, and the library exifread."""

from __future__ import annotations

from io import BytesIO

import exifread

from .files import MARK

# Tables, frames, scans, restart interval, and JFIF, which says how large a pixel is.
ALLOWED = {0xDB, 0xC4, 0xC0, 0xC1, 0xC2, 0xDA, 0xDD, 0xE0}


def problems(photo: bytes) -> list[str]:
    """Return what is wrong with a stored photo: segments that are no part of the picture, metadata, more behind it."""
    try:
        found = [f"a segment {marker:#x}" for marker, content in segments(photo) if not _is_picture(marker, content)]
    except (IndexError, ValueError) as error:
        found = [f"no JPEG: {error}"]
    if tags := exifread.process_file(BytesIO(photo), details=True):
        found.append(f"metadata: {sorted(tags)}")
    if MARK in photo:
        found.append("a text of the upload")
    return found


def _is_picture(marker: int, content: bytes) -> bool:
    return marker in ALLOWED and (marker != 0xE0 or (content.startswith(b"JFIF\0") and len(content) == 14))


def segments(photo: bytes) -> list[tuple[int, bytes]]:
    """Return marker and content of each segment. Raises ValueError for what is no JPEG, or goes on behind its end."""
    if photo[:2] != b"\xff\xd8":
        raise ValueError("it does not begin as one")
    place, found = 2, []
    while True:
        if photo[place] != 0xFF:
            raise ValueError(f"there is no marker at {place}")
        marker = photo[place + 1]
        if marker == 0xD9:
            if place + 2 != len(photo):
                raise ValueError("there are bytes behind its end")
            return found
        size = int.from_bytes(photo[place + 2 : place + 4], "big")
        found.append((marker, photo[place + 4 : place + 2 + size]))
        place += 2 + size
        if marker == 0xDA:  # coded data follow, up to a marker that is no restart and no stuffed byte
            while not (photo[place] == 0xFF and photo[place + 1] not in (0, *range(0xD0, 0xD8))):
                place += 1
