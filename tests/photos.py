"""Photos made byte by byte, since Pillow does not write them: damaged, hostile or rare variants of the formats."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

HEIC = Path(__file__).parent / "data" / "gradient.heic"  # 96 x 64


def written(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def slope(mode: str = "RGB", size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return a gradient, white at the top and black at the bottom."""
    return Image.linear_gradient("L").resize(size).rotate(180).convert(mode)


# JPEG


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Insert segments behind the start marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def tiff(entries: Sequence[tuple[int, int, int, bytes]], order: str = "<", start: int = 8, after: bytes = b"") -> bytes:
    """Return the TIFF file inside Exif, with one directory of (tag, type, count, value or offset in four bytes)."""
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, start)
    directory = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHI", tag, kind, count) + value[:4].ljust(4, b"\0") for tag, kind, count, value in entries
    )
    return head.ljust(start, b"\0") + directory + bytes(4) + after


def exif(content: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + content)


ROTATED = (0x0112, 3, 1, b"\x06\0")


def many_scans(scans: int, size: tuple[int, int] = (320, 240)) -> bytes:
    """Return a progressive JPEG whose last scan is repeated."""
    jpeg = written(slope(size=size), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * scans + b"\xff\xd9"


# PNG


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    size: tuple[int, int], *, depth: int = 8, colour: int = 2, pixel: bytes = b"", packed: bytes | None = None,
    interlace: int = 0, before: bytes = b"", rows: int | None = None,
) -> bytes:  # fmt: skip
    """Return a PNG of one colour, ``pixel``. ``before``: chunks before the image data; ``packed``: that data."""
    if packed is None:
        row = b"\0" + pixel * size[0]
        packing = zlib.compressobj(1)
        packed = b"".join(packing.compress(row) for _ in range(size[1] if rows is None else rows)) + packing.flush()
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


# WebP


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless_head(width: int, height: int) -> bytes:
    return b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)


def canvas(width: int, height: int, flags: int = 0) -> bytes:
    return bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


# HEIC


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, name) + body


def heic_boxes(more: bytes) -> bytes:
    """Return a HEIC without images that claims 1,000 x 1,000 pixels, with ``more`` at the end of its boxes."""
    shown = box(b"ipco", box(b"ispe", bytes(4), struct.pack(">II", 1000, 1000)))
    whose = box(b"ipma", bytes(4), struct.pack(">IHBB", 1, 1, 1, 1))
    meta = box(b"meta", bytes(4), box(b"pitm", bytes(4), b"\0\1"), box(b"iprp", shown, whose), more)
    return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + meta


def made_of(parts: dict[int, list[int]]) -> bytes:
    """Return the box that says which items are derived from which others."""
    references = (struct.pack(f">HH{len(others)}H", item, len(others), *others) for item, others in parts.items())
    return box(b"iref", bytes(4), *(box(b"dimg", each) for each in references))


def heic(
    *, rotation: int = 0, profile: bytes = b"", tiles: tuple[int, int] | None = None,
    said: tuple[int, int] | None = None,
) -> bytes:  # fmt: skip
    """Return the bundled image, rotated by quarters anticlockwise, or as ``tiles`` of a grid.

    ``said``: the size that the header claims.
    """
    bundled = HEIC.read_bytes()
    coding = bundled[172 : 172 + 120]  # hvcC
    picture = bundled[358:]
    columns, rows = tiles or (1, 1)
    size = said or (96 * columns, 64 * rows)
    ispe = [box(b"ispe", bytes(4), struct.pack(">II", *each)) for each in ((96, 64), size)]
    turns = box(b"irot", bytes([rotation]))
    colours = box(b"colr", b"prof", profile) if profile else box(b"free")
    properties = box(b"ipco", coding, *ispe, turns, colours, box(b"pixi", bytes(4), b"\3\x08\x08\x08"))
    # Places in ipco: 1 hvcC, 2 the tile's size, 3 the whole's, 4 rotation, 5 profile, 6 bits.
    if tiles is None:
        of_items = [(1, [1, 3, 4, 5, 6])]
        kinds = [(1, b"hvc1")]
        references = grid = b""
    else:  # all tiles are items of their own at the same place
        parts = range(1, columns * rows + 1)
        whole = len(parts) + 1
        of_items = [*((part, [1, 2, 6]) for part in parts), (whole, [3, 4, 5, 6])]
        kinds = [*((part, b"hvc1") for part in parts), (whole, b"grid")]
        dimg = struct.pack(f">HH{len(parts)}H", whole, len(parts), *parts)
        references = box(b"iref", bytes(4), box(b"dimg", dimg))
        grid = struct.pack(">BBBBII", 0, 1, (rows - 1) & 255, (columns - 1) & 255, *size)
    association = b"".join(
        struct.pack(">HB", item, len(places)) + bytes(0x80 * (place in (1, 4)) | place for place in places)
        for item, places in of_items
    )
    ipma = box(b"ipma", bytes(4), struct.pack(">I", len(of_items)), association)
    primary = kinds[-1][0]
    infe = [  # tiles are hidden
        box(b"infe", b"\2\0\0" + bytes([item != primary]), struct.pack(">HH", item, 0), kind, b"\0")
        for item, kind in kinds
    ]

    def meta(start: int) -> bytes:
        places = [(item, start, len(picture)) for item, kind in kinds if kind == b"hvc1"]
        if grid:
            places.append((primary, start + len(picture), len(grid)))
        iloc = b"".join(struct.pack(">HHHII", item, 0, 1, place, length) for item, place, length in places)
        return box(
            b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", bytes(4), struct.pack(">H", primary)),
            box(b"iloc", b"\0\0\0\0\x44\0", struct.pack(">H", len(places)), iloc),
            box(b"iinf", bytes(4), struct.pack(">H", len(kinds)), *infe), box(b"iprp", properties, ipma), references,
        )  # fmt: skip

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", picture, grid)
