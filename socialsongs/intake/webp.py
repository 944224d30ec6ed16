"""Reads the chunks of a WebP: its size, the memory that decoding takes, and the parts of its first picture."""

from __future__ import annotations

from collections.abc import Iterator

from .exif import orientation_of
from .header import MAX_PARTS, MAX_PROFILE_BYTES, MAX_TEXT_BYTES, Header, damaged, too_many_parts

# Flags of VP8X for the other chunks of the file.
HAS_PROFILE, HAS_EXIF, HAS_XMP, ANIMATED = 0x20, 0x08, 0x04, 0x02
# Measured bytes per pixel: two canvases and two copies of the picture; three for a lossless one.
LOSSY, LOSSLESS = 17, 19


def read_header(data: bytes) -> Header:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise damaged()  # truncated
    size = 0, 0
    canvas = profile = exif = xmp = b""
    kept: list[bytes] = []
    frames = 0
    lossless = False
    for name, start, stop in _chunks(data, 12, end):
        if name == b"VP8X" and not canvas:
            canvas = data[start:stop]
        elif name == b"ICCP":
            profile = profile or data[start:stop]
        elif name == b"EXIF":
            exif = exif or data[start : min(stop, start + MAX_TEXT_BYTES)]
        elif name == b"XMP ":
            xmp = xmp or data[start : min(stop, start + MAX_TEXT_BYTES)]
        elif name == b"ANIM" or (name == b"ALPH" and not frames):
            kept.append(_chunk(name, data[start:stop]))
        elif name in (b"VP8 ", b"VP8L") and not frames:
            frames, lossless = 1, name == b"VP8L"
            size = _size(name, data[start : start + 10])
            kept.append(_chunk(name, data[start:stop]))
        elif name == b"ANMF":
            frames += 1
            if frames == 1:
                lossless = True
                kept.append(_chunk(name, data[start:stop]))
    if canvas:
        if len(canvas) != 10:
            raise damaged()
        size = 1 + int.from_bytes(canvas[4:7], "little"), 1 + int.from_bytes(canvas[7:10], "little")
        flags = canvas[0] & ~(HAS_PROFILE | HAS_EXIF | HAS_XMP)
        kept.insert(0, _chunk(b"VP8X", bytes([flags]) + canvas[1:]))
    if not frames or not all(size):
        raise damaged()
    body = b"WEBP" + b"".join(kept)
    return Header(
        format="WEBP",
        width=size[0],
        height=size[1],
        content=b"RIFF" + len(body).to_bytes(4, "little") + body,
        memory=size[0] * size[1] * (LOSSLESS if lossless else LOSSY),
        frames=frames,
        orientation=orientation_of(exif, xmp),
        profile=profile if len(profile) <= MAX_PROFILE_BYTES else b"",
    )


def _chunks(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk's content, as positions in the file."""
    parts = 0
    while position + 8 <= end:
        parts += 1
        if parts > MAX_PARTS:
            raise too_many_parts("chunks")
        start = position + 8
        stop = start + int.from_bytes(data[position + 4 : start], "little")
        if stop > end:
            raise damaged()  # truncated
        yield data[position : position + 4], start, stop
        position = stop + stop % 2


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)


def _size(name: bytes, head: bytes) -> tuple[int, int]:
    """Return width and height of the picture by its own header; 0, 0 when it is invalid."""
    if name == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    if name == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return 0, 0
