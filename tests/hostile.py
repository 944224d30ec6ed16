"""Photos that are meant to break what reads them, from a seed: ``python -m tests.hostile --files 2000``.

Each goes through the API of the site, with its real database. The last line is one JSON object.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import struct
import threading
import time
import zlib
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
from PIL import ImageCms

from . import photos

MIB = 1024 * 1024
# The statuses that an upload may be answered with.
ANSWERS = {202, 413, 422}


def _number(random: random.Random) -> int:
    return random.choice([0, 1, 2, 3, 31, 255, 256, 4095, 7000, 7071, 16383, 65535, 2**24, 2**31 - 1, 2**32 - 1])


def mutated(random: random.Random) -> bytes:
    """A good file with bytes changed, cut out, doubled, or its end lost."""
    format = random.choice(["JPEG", "progressive", "PNG", "WEBP", "lossless", "HEIF", "grid"])
    image = photos.slope(random.choice(["L", "RGB"]), (random.randrange(33, 300), random.randrange(33, 300)))
    match format:
        case "progressive":
            content = photos.written(image, "JPEG", progressive=True)
        case "lossless":
            content = photos.written(image, "WEBP", lossless=True, method=0)
        case "HEIF":
            content = photos.heic(rotation=random.randrange(4))
        case "grid":
            content = photos.heic(tiles=(random.randrange(1, 6), random.randrange(1, 6)))
        case _:
            content = photos.written(image, format)
    broken = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 5, 50])):
        place = random.randrange(len(broken))
        match random.randrange(4):
            case 0:
                broken[place] = random.randrange(256)
            case 1:
                del broken[place : place + random.randrange(1, 60)]
            case 2:
                broken[place:place] = broken[place : place + random.randrange(1, 60)]
            case 3:
                broken[place : place + 4] = struct.pack(">I", _number(random))
        if len(broken) < 64:
            break
    return bytes(broken[: random.randrange(12, len(broken))] if random.random() < 0.1 else broken)


def scans(random: random.Random) -> bytes:
    size = random.choice([(64, 64), (2000, 1500), (5000, 4000)])
    return photos.many_scans(random.choice([20, 89, 90, 91, 500, 5000]), size)


def segments(random: random.Random) -> bytes:
    """Comments, Exif in pieces, filling."""
    jpeg = photos.written(photos.slope(), "JPEG")
    count = random.choice([10, 1000, 60_000, 199_000, 250_000])
    match random.randrange(4):
        case 0:
            return photos.with_segments(jpeg, photos.segment(0xFE, b"") * count)
        case 1:
            return photos.with_segments(jpeg, photos.segment(0xE1, b"Exif\0\0" + bytes(random.randrange(20))) * count)
        case 2:
            return photos.with_segments(jpeg, b"\xff" * random.choice([1000, 1_000_000, 14_000_000]))
        case _:
            return photos.with_segments(jpeg, photos.segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(30)) * count)


def exif(random: random.Random) -> bytes:
    """An orientation among entries of any type, count and value; directories that lead nowhere."""
    entry = lambda: (  # noqa: E731
        random.choice([0x0112, 0x8825, 0x8769, 0x0132, 0x9003, random.randrange(65536)]),
        random.randrange(16),
        _number(random),
        struct.pack("<I", _number(random)),
    )
    entries = [entry() for _ in range(random.randrange(12))]
    entries.insert(random.randrange(len(entries) + 1), photos.ROTATED)
    content = photos.tiff(entries, random.choice("<>"), random.choice([8, 9, 100]), random.randbytes(100))
    jpeg = photos.written(photos.slope(), "JPEG")
    return photos.with_segments(jpeg, photos.exif(content[: random.choice([10, 20, 65000])]))


def profile(random: random.Random) -> bytes:
    good = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for _ in range(random.randrange(20)):
        good[random.randrange(len(good))] = random.randrange(256)
    mode = random.choice(["L", "RGB", "RGBA", "P", "LA"])
    return photos.written(photos.slope("L").convert(mode), "PNG", icc_profile=bytes(good))


def png(random: random.Random) -> bytes:
    """Sizes that are not there, texts and profiles that grow, many chunks, wrong colour types."""
    bomb = zlib.compress(bytes(random.choice([1000, 2_000_000, 60_000_000])), 9)
    before = random.choice(
        [
            b"",
            photos.chunk(b"iCCP", b"icc\0\0" + bomb),
            photos.chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb),
            photos.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
            photos.chunk(b"tEXt", b"Comment\0" + bytes(1_500_000)),
            photos.chunk(b"tEXt", b"") * random.choice([1000, 150_000, 300_000]),
            photos.chunk(b"acTL", struct.pack(">II", _number(random), 0)),
            photos.chunk(b"tRNS", random.randbytes(random.randrange(8))),
        ]
    )
    if random.random() < 0.4:
        size = (random.choice([33, 7000, 7071, 50_000, 2**31 - 1]), random.choice([33, 900, 7071, 2**31 - 1]))
        return photos.png(
            size, depth=random.choice([1, 2, 4, 8, 16, 3]), colour=random.randrange(8), packed=bomb, before=before,
            interlace=random.randrange(3),
        )  # fmt: skip
    return photos.png((64, 64), pixel=b"abc", before=before)


def large(random: random.Random) -> bytes:
    """As many pixels as are accepted, of the kinds that take most memory and time."""
    side = random.choice([5000, 7000])
    colour, depth, samples = random.choice([(2, 8, 3), (6, 8, 4), (6, 16, 8), (0, 16, 2), (4, 16, 4), (2, 16, 6)])
    interlace = random.randrange(2)
    rows = side + side // 50 if interlace else side
    return photos.png((side, side), depth=depth, colour=colour, pixel=random.randbytes(samples), interlace=interlace,
                      rows=rows)  # fmt: skip


def webp(random: random.Random) -> bytes:
    width, height = random.choice([33, 3000, 7071, 16383]), random.choice([33, 3000, 7071, 16383])
    bits = photos.lossless_head(width, height) + random.randbytes(random.choice([10, 2000]))
    lossy = b"\x30\1\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + random.randbytes(500)
    frame = bytes(6) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes(4)
    match random.randrange(5):
        case 0:
            return photos.riff((b"VP8L", bits))
        case 1:
            return photos.riff((b"VP8 ", lossy))
        case 2:
            return photos.riff((b"VP8X", photos.canvas(width, height, 0x10)), (b"ALPH", b"\1" + bits), (b"VP8 ", lossy))
        case 3:
            frames = [(b"ANMF", frame + photos.riff((b"VP8L", bits))[12:])] * random.choice([1, 200, 201])
            return photos.riff((b"VP8X", photos.canvas(width, height, 2)), (b"ANIM", bytes(6)), *frames)
        case _:
            return photos.riff(*[(random.choice([b"XMP ", b"EXIF", b"junk"]), b"")] * 300_000, (b"VP8L", bits))


def heic(random: random.Random) -> bytes:
    tiles = random.choice([None, (1, 1), (3, 2), (20, 20), (64, 64), (70, 72), (70, 73)])
    sides = (16, 64, 96, 5000, 7000, 2**31 - 1)
    said = random.choice([None, (random.choice(sides), random.choice(sides))])
    return photos.heic(rotation=random.randrange(4), tiles=tiles, said=said, profile=random.randbytes(200))


def nonsense(random: random.Random) -> bytes:
    begin = random.choice([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBP", b"\0\0\0\x1cftypheic", b""])
    return begin + random.randbytes(random.choice([0, 1, 30, 5000, 1_000_000]))


KINDS: dict[Callable[[random.Random], bytes], float] = {
    mutated: 60, exif: 20, profile: 10, scans: 6, segments: 8, png: 12, webp: 12, heic: 10, nonsense: 8, large: 1,
}  # fmt: skip


def hostile_files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield kind and content of each file; the same for the same seed."""
    for number in range(count):
        yield hostile_file(number, seed)


def hostile_file(number: int, seed: int) -> tuple[str, bytes]:
    chance = random.Random(f"{seed}-{number}")
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    return f"{kind.__name__}-{number}", kind(chance)


def decoders() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if "socialsongs.decoding" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def processor_seconds() -> float:
    """Return the processor time of this process and its decoders, those that ended included."""
    return sum(sum(process.cpu_times()[:4]) for process in (psutil.Process(), *decoders()))


@contextmanager
def memory_of_decoders() -> Iterator[list[float]]:
    """Yield a list of one number: the most memory, in MiB, that one decoder had, sampled a hundred times a second."""
    peak, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            for decoder in decoders():
                try:
                    peak[0] = max(peak[0], decoder.memory_info().rss / MIB)
                except psutil.NoSuchProcess:
                    continue

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        stop.set()
        watching.join()


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    from . import servers  # noqa: F401  (real ones, as for the tests)

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings",
        "SOCIALSONGS_UPLOAD_RATE": "1000000/hour",
        "SOCIALSONGS_MAX_WAITING_PHOTOS": "1000000",
    }
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.db import connection
    from django.test.utils import setup_test_environment
    from rest_framework.test import APIClient

    logging.disable(logging.CRITICAL)  # each refusal is logged
    setup_test_environment()
    connection.creation.create_test_db(verbosity=0)
    api = APIClient()
    api.force_authenticate(get_user_model().objects.create_user("alice"))
    good = SimpleUploadedFile("good.jpg", photos.written(photos.slope(), "JPEG"))
    assert api.post("/api/v1/posts", {"photos": good}).status_code == 202  # loads what a first request loads
    answers: Counter[str] = Counter()
    broken, slowest, longest, before = 0, (0.0, ""), 0.0, psutil.Process().memory_info().rss / MIB
    most = before
    # Made in a process of its own, so that its time and memory do not count as those of the refusal.
    making = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with making, memory_of_decoders() as peak:
        for number in range(options.files):
            name, content = making.submit(hostile_file, number, options.seed).result()
            upload = SimpleUploadedFile(name, content)
            began, used = time.monotonic(), processor_seconds()
            response: Any = api.post("/api/v1/posts", {"photos": upload})
            slowest = max(slowest, (time.monotonic() - began, name))
            longest = max(longest, processor_seconds() - used)
            most = max(most, psutil.Process().memory_info().rss / MIB)
            answers[f"{response.status_code} {'' if response.status_code == 202 else response.json()['code']}"] += 1
            if response.status_code not in ANSWERS:
                broken += 1
                print(f"{name}: {response.status_code}")
    connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
    for answer, count in answers.most_common():
        print(f"{count:6} {answer}")
    print(
        json.dumps(
            {
                "files": options.files,
                "broken": broken,
                "slowest_s": round(slowest[0], 2),
                "slowest": slowest[1],
                "most_processor_s": round(longest, 2),
                "peak_mb": round(max(peak[0], most - before)),
                "decoder_mb": round(peak[0]),
                "web_mb": round(most - before),
            }
        )
    )


if __name__ == "__main__":
    main()
