"""Reads the chunks of a PNG: its size, the memory that decoding takes, and the parts that a decoder needs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from .exif import orientation_of
from .header import MAX_PARTS, MAX_PROFILE_BYTES, MAX_TEXT_BYTES, Header, damaged, too_many_parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Samples per pixel, by colour type.
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = 3
# The largest ratio by which zlib can compress.
MOST_GROWTH = 1032
XMP = b"XML:com.adobe.xmp\0"
EXIF_AS_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0")


def read_header(data: bytes) -> Header:
    first: dict[bytes, bytes] = {}
    picture: list[bytes] = []
    picture_bytes = 0
    xmp = exif_text = b""
    for name, start, end in _chunks(data):
        if name == b"IDAT":
            picture.append(data[start - 8 : end + 4])
            picture_bytes += end - start
        elif name in (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"eXIf", b"iCCP"):
            first.setdefault(name, data[start:end])
        elif name == b"iTXt" and data.startswith(XMP, start):
            xmp = xmp or data[start : min(end, start + MAX_TEXT_BYTES)]
        elif name in (b"tEXt", b"zTXt") and data.startswith(EXIF_AS_TEXT, start):
            exif_text = exif_text or _text(name, data[start:end])
    if len(first.get(b"IHDR", b"")) != 13:
        raise damaged()
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", first[b"IHDR"])
    if colour not in SAMPLES or not width or not height:
        raise damaged()
    row = (width * SAMPLES[colour] * depth + 7) // 8 + 1
    if row * height > MOST_GROWTH * (picture_bytes + 64):
        raise damaged()  # pixels are missing
    tables = [_chunk(b"IHDR", first[b"IHDR"])]
    if b"PLTE" in first:
        tables.append(_chunk(b"PLTE", first[b"PLTE"]))
    if b"tRNS" in first:
        tables.append(_chunk(b"tRNS", _in_eight_bits(first[b"tRNS"]) if depth == 16 else first[b"tRNS"]))
    frames = int.from_bytes(first[b"acTL"][:4]) if b"acTL" in first else 1
    return Header(
        format="PNG",
        width=width,
        height=height,
        content=b"".join([SIGNATURE, *tables, *picture, _chunk(b"IEND", b"")]),
        memory=width * height * _bytes_of_a_pixel(colour, depth),
        frames=frames,
        orientation=orientation_of(first.get(b"eXIf", b"") or exif_text, xmp),
        profile=_profile(first.get(b"iCCP", b"")),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk's content, as positions in the file."""
    position, parts = len(SIGNATURE), 0
    while position + 8 <= len(data):
        parts += 1
        if parts > MAX_PARTS:
            raise too_many_parts("chunks")
        start, name = position + 8, data[position + 4 : position + 8]
        end = start + int.from_bytes(data[position : position + 4])
        if name == b"IEND":
            return
        if end > len(data):
            raise damaged()  # truncated
        yield name, start, end
        position = end + 4


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _in_eight_bits(transparent: bytes) -> bytes:
    """Convert the transparent colour from 16 to 8 bits, as in the decoded picture."""
    return b"".join(b"\0" + transparent[place : place + 1] for place in range(0, len(transparent), 2))


def _bytes_of_a_pixel(colour: int, depth: int) -> int:
    """Return the bytes of a pixel in Pillow's memory."""
    if colour in (0, PALETTE):
        return 2 if depth == 16 else 1
    return 4


def _unpacked(content: bytes, limit: int) -> bytes:
    """Decompress; return b"" when the data is damaged or longer than the limit."""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(content, limit)
    except zlib.error:
        return b""
    return b"" if unpacking.unconsumed_tail else unpacked


def _profile(chunk: bytes) -> bytes:
    _, _, packed = chunk.partition(b"\0")
    return _unpacked(packed[1:], MAX_PROFILE_BYTES)


def _text(name: bytes, content: bytes) -> bytes:
    """Return Exif that some programs write as text: a heading of three lines, then hexadecimal digits."""
    _, _, text = content.partition(b"\0")
    if name == b"zTXt":
        text = _unpacked(text[1:], MAX_TEXT_BYTES)
    try:
        return bytes.fromhex(b"".join(text[:MAX_TEXT_BYTES].split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
