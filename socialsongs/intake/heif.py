"""Reads the boxes of a HEIC: its size, its tiles, and the memory that decoding takes.

Boxes contain boxes, and items consist of items, so the limits apply to their total. The decoder gets the whole file,
because positions of its parts are stored in many places.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from .header import MAX_PARTS, Header, damaged, too_many_parts

BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
# A camera's picture of 48 million pixels has 192 tiles.
MAX_ITEMS = 5_000
# Most levels of grids made of grids.
MAX_DEPTH = 4
# Fewest pixels that a tile counts for, also when it claims to have none.
SMALLEST_TILE = 64 * 64
# Tiles at the edges can extend beyond the picture.
MOST_PIXELS_DECODED = 1.25
# Measured for eight bits: memory of the decoder and of its output; and the same for transparency.
BYTES_OF_A_PIXEL, BYTES_OF_ALPHA = 4.5, 2.5


@dataclass
class _HeifContents:
    primary: int = 0
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)
    with_alpha: set[int] = field(default_factory=set)
    counted: int = 0

    def count(self, more: int = 1) -> None:
        """Count boxes, references and properties of the whole file. Raises TooManyParts."""
        self.counted += more
        if self.counted > MAX_PARTS:
            raise too_many_parts("boxes")


def is_heif(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in BRANDS


def read_header(data: bytes) -> Header:
    contents = _HeifContents()
    try:
        for name, start, end in _boxes(contents, data, 0, len(data)):
            if name == b"meta":
                _read_meta(contents, data, start + 4, end)
                break
        width, height = _size(contents, contents.primary)
    except struct.error as error:
        raise damaged() from error
    if not width or not height:
        raise damaged()
    most = int(MOST_PIXELS_DECODED * width * height) + 1_000_000
    sizes = {item: _size(contents, item) for item in contents.of_item}
    if _pixels_decoded(contents, sizes, contents.primary, most, MAX_DEPTH) > most:
        raise too_many_parts("tiles")
    each = BYTES_OF_A_PIXEL + (BYTES_OF_ALPHA if contents.primary in contents.with_alpha else 0)
    memory = int(width * height * each) * (2 if _is_deep(contents, contents.primary) else 1)
    return Header(format="HEIF", width=width, height=height, content=data, memory=memory)


def _boxes(contents: _HeifContents, data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each box's content, as positions in the file."""
    while position + 8 <= end:
        contents.count()
        size, name = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = position + size if size else end
        if stop < start or stop > end:
            if name == b"mdat":
                return  # the decoder finds out whether pixels are missing
            raise damaged()
        yield name, start, stop
        position = stop


def _read_meta(contents: _HeifContents, data: bytes, start: int, end: int) -> None:
    for name, begin, stop in _boxes(contents, data, start, end):
        if name == b"pitm":
            contents.primary = _number(data, begin + 4, _width(data, begin))
        elif name == b"iref":
            _read_references(contents, data, begin, stop)
        elif name == b"iprp":
            for part, first, last in _boxes(contents, data, begin, stop):
                if part == b"ipco":
                    contents.properties += [
                        (kind, data[a:b][:32]) for kind, a, b in _boxes(contents, data, first, last)
                    ]
                elif part == b"ipma":
                    _read_associations(contents, data, first, last)


def _number(data: bytes, place: int, size: int) -> int:
    return int(struct.unpack_from({1: "B", 2: ">H", 4: ">I"}[size], data, place)[0])


def _width(data: bytes, place: int) -> int:
    """Return the size of item numbers in bytes, by the box's version at that place."""
    return 2 if _number(data, place, 1) == 0 else 4


def _read_references(contents: _HeifContents, data: bytes, start: int, end: int) -> None:
    size = _width(data, start)
    for name, begin, _ in _boxes(contents, data, start + 4, end):
        item, count = _number(data, begin, size), _number(data, begin + size, 2)
        if count > MAX_ITEMS:
            raise too_many_parts("tiles")
        contents.count(count)
        others = [_number(data, begin + size + 2 + size * place, size) for place in range(count)]
        if name == b"dimg":
            contents.parts.setdefault(item, others)
        elif name == b"auxl":
            contents.with_alpha.update(others)


def _read_associations(contents: _HeifContents, data: bytes, start: int, end: int) -> None:
    """Read which item has which properties."""
    wide = _number(data, start + 3, 1) & 1
    position, size = start + 8, _width(data, start)
    count = _number(data, start + 4, 4)
    if count > MAX_ITEMS:
        raise too_many_parts("items")
    for _ in range(count):
        item, many = _number(data, position, size), _number(data, position + size, 1)
        contents.count(1 + many)
        position += size + 1
        places = struct.unpack_from(f">{many}{'H' if wide else 'B'}", data, position)
        position += many * (2 if wide else 1)
        contents.of_item.setdefault(item, []).extend(place & (0x7FFF if wide else 0x7F) for place in places)
    if position > end:
        raise damaged()


def _properties(contents: _HeifContents, item: int, kind: bytes) -> list[bytes]:
    places = [place for place in contents.of_item.get(item, []) if 0 < place <= len(contents.properties)]
    return [content for name, content in (contents.properties[place - 1] for place in places) if name == kind]


def _size(contents: _HeifContents, item: int) -> tuple[int, int]:
    for content in _properties(contents, item, b"ispe"):
        width, height = struct.unpack_from(">II", content, 4)
        return width, height
    return 0, 0


def _is_deep(contents: _HeifContents, item: int) -> bool:
    """Return whether the picture or its first tile has more than eight bits."""
    items = [item, *contents.parts.get(item, [])[:1]]
    return any(max(content[5:], default=8) > 8 for each in items for content in _properties(contents, each, b"pixi"))


def _pixels_decoded(
    contents: _HeifContents, sizes: dict[int, tuple[int, int]], item: int, most: int, depth: int
) -> int:
    """Count the pixels of an item and its parts, each as often as it is used; stop above ``most``."""
    parts = contents.parts.get(item, [])
    if not parts:
        width, height = sizes.get(item, (0, 0))
        return max(SMALLEST_TILE, width * height)
    if not depth:
        raise too_many_parts("tiles")
    pixels = 0
    for part in parts:
        pixels += _pixels_decoded(contents, sizes, part, most, depth - 1)
        if pixels > most:
            break
    return pixels
