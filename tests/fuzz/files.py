"""Files to upload, the same for a seed: broken variants of real and made photos, and what hostile.py makes."""

from __future__ import annotations

import random
import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from .. import hostile, photos
from ..skips import import_or_skip

# Stands in every metadata that is written: nothing of it may be in a stored photo.
MARK = b"GPS-of-Mara-Quill"
SAMPLES = [("skimage", "data/coffee.png"), ("skimage", "data/rocket.jpg"), ("sklearn", "datasets/images/china.jpg")]
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "HEIF": "heic"}


def _folder(package: str) -> Path:
    return Path(str(import_or_skip(package).__file__)).parent


@cache
def pictures() -> list[Image.Image]:
    """Return small pictures: sample photos, a gradient, noise."""
    found = [Image.open(_folder(package) / name).convert("RGB").resize((240, 180)) for package, name in SAMPLES]
    noise = Image.frombytes("RGB", (96, 64), random.Random(7).randbytes(96 * 64 * 3))
    return [*found, photos.slope(), noise]


def metadata() -> bytes:
    """Return a TIFF with the mark as description, a rotation, and a place that stands for coordinates."""
    entries = [
        (0x010E, 2, len(MARK) + 1, struct.pack("<I", 100)),
        photos.ROTATED,
        (0x8825, 4, 1, struct.pack("<I", 60)),
    ]
    head = photos.tiff(entries, "<", 8)
    return head.ljust(100, b"\0") + MARK + b"\0"


def good(chance: random.Random) -> tuple[bytes, str]:
    """Return a photo with metadata in one of the formats, and its format."""
    format = chance.choice(list(FORMATS))
    image = chance.choice(pictures())
    match format:
        case "HEIF":
            return photos.heic(rotation=chance.randrange(4)), format
        case "PNG":
            file = BytesIO()
            image.save(file, "PNG")
            text = photos.chunk(b"tEXt", b"Comment\0" + MARK) + photos.chunk(b"eXIf", metadata())
            content = file.getvalue()
            return content[:33] + text + content[33:], format
        case "WEBP":
            return photos.written(image, "WEBP", exif=b"Exif\0\0" + metadata(), xmp=b"<x>" + MARK + b"</x>"), format
    jpeg = photos.written(image, "JPEG", progressive=chance.random() < 0.3, quality=chance.choice([30, 80, 95]))
    more = [photos.exif(metadata()), photos.segment(0xFE, MARK), photos.segment(0xED, b"Photoshop 3.0\0" + MARK)]
    return photos.with_segments(jpeg, *chance.sample(more, chance.randrange(1, 4))), format


def as_it_is(chance: random.Random) -> bytes:
    return good(chance)[0]


def truncated(chance: random.Random) -> bytes:
    content, _ = good(chance)
    return content[: chance.randrange(len(content))]


def flipped(chance: random.Random) -> bytes:
    """Flip bits: a few, or many, of the whole file or of its head."""
    content, _ = good(chance)
    broken = bytearray(content)
    end = chance.choice([64, 600, len(broken)])
    for _ in range(chance.choice([1, 2, 8, 200])):
        broken[chance.randrange(min(end, len(broken)))] ^= 1 << chance.randrange(8)
    return bytes(broken)


def spliced(chance: random.Random) -> bytes:
    """Put the head of one format before the rest of another."""
    first, second = good(chance)[0], good(chance)[0]
    cut = chance.choice([2, 4, 12, 33, 200])
    return first[:cut] + second[chance.choice([0, cut, 100]) :]


def odd_exif(chance: random.Random) -> bytes:
    """Entries of wrong types, counts and offsets, with the mark behind them."""
    tags = [0x0112, 0x8825, 0x8769, 0x010E, 0xA005, 0x0132]
    entries = [
        (chance.choice(tags), chance.randrange(20), chance.choice([0, 1, 2, 2**16, 2**32 - 1]), chance.randbytes(4))
        for _ in range(chance.randrange(1, 30))
    ]
    content = photos.tiff(entries, chance.choice("<>"), chance.choice([8, 9, 100]), MARK)
    return photos.with_segments(photos.written(chance.choice(pictures()), "JPEG"), photos.exif(content))


def polyglot(chance: random.Random) -> bytes:
    """A photo that is something else as well: a page, a script, an archive, a PDF, before, in or behind it."""
    content, format = good(chance)
    page = b"<!doctype html><script>alert(1)</script><svg onload=alert(1)>" + MARK
    other = chance.choice([b"", b"PK\3\4" + bytes(26), b"%PDF-1.7\n", b"GIF89a", b"#!/bin/sh\n"]) + page
    match chance.randrange(3):
        case 0:
            return content + other
        case 1 if format == "JPEG":
            return photos.with_segments(content, photos.segment(0xFE, other))
        case 1 if format == "PNG":
            return content[:33] + photos.chunk(b"zTXt", b"a\0\0" + zlib.compress(other)) + content[33:]
    return other + content


def bomb(chance: random.Random) -> bytes:
    """Claims or unpacks to far more pixels than the file has bytes for."""
    side = chance.choice([20_000, 60_000, 2**31 - 1])
    match chance.randrange(4):
        case 0:
            return photos.png((side, side), packed=zlib.compress(bytes(3_000_000), 9))
        case 1:
            return photos.png((7000, 7000), pixel=b"abc", rows=chance.choice([10, 7000]))
        case 2:
            return photos.riff((b"VP8L", photos.lossless_head(16383, 16383) + chance.randbytes(200)))
    return photos.heic(said=(side, side), tiles=chance.choice([None, (8, 8)]))


def from_hostile(chance: random.Random) -> bytes:
    kinds = {kind: weight for kind, weight in hostile.KINDS.items() if kind is not hostile.large}
    return chance.choices(list(kinds), list(kinds.values()))[0](chance)


KINDS = {
    as_it_is: 20, truncated: 15, flipped: 25, spliced: 12, odd_exif: 12, polyglot: 12, bomb: 3, from_hostile: 10,
}  # fmt: skip


def file(number: int, seed: int) -> tuple[str, str, bytes]:
    """Return the kind, the name and the content of a file; the name's extension and type often lie."""
    chance = random.Random(f"{seed}-{number}")
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    ending = chance.choice([*FORMATS.values(), *FORMATS.values(), "html", "svg", "php", "gif", "exe", "jpg\0.html", ""])
    return kind.__name__, f"{MARK.decode()}-{number}.{ending}", kind(chance)
