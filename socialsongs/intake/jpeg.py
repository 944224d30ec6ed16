"""Reads the segments of a JPEG: its size, the memory that decoding takes, and the parts that a decoder needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .exif import orientation_of
from .header import MAX_PARTS, MAX_PROFILE_BYTES, MAX_TEXT_BYTES, Header, damaged, too_many_parts

START, END, SCAN, EXIF, ICC = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
ALONE = {0x01, *range(0xD0, 0xD9)}
# A marker, after any number of fill bytes FF; and a marker that ends a scan, where FF00 and restarts are data.
MARKER = re.compile(rb"\xff[^\x00\xff]")
AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
XMP = b"http://ns.adobe.com/xap/1.0/\0"
PROFILE = b"ICC_PROFILE\0"

# Each scan passes over the whole picture. Encoders write about ten.
MAX_SCANS, MAX_SCANNED_PIXELS = 100, 1_000_000_000
COEFFICIENTS = 64


@dataclass
class _JpegContents:
    kept: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    exif: list[bytes] = field(default_factory=list)
    xmp: bytes = b""
    profile: dict[int, bytes] = field(default_factory=dict)
    profile_parts: int = 0
    frame: bytes = b""
    progressive: bool = False
    scans: int = 0
    # By component: how many bits of each coefficient are still missing; None before its first scan.
    missing: dict[int, list[int | None]] = field(default_factory=dict)
    ended: bool = False


def read_header(data: bytes, side: int) -> Header:
    """Read the header. ``side``: long side of the stored photo; decoding may halve the size up to three times."""
    contents = _JpegContents()
    for marker, segment, start, end in _segments(data):
        if marker in FRAMES:
            if contents.frame or len(segment) < 6:
                raise damaged()
            contents.frame, contents.progressive = segment, marker in PROGRESSIVE
        elif marker == SCAN:
            _note_scan(contents, segment)
        elif marker == END:
            contents.ended = True
        elif marker == EXIF:
            _note_exif(contents, segment)
        elif marker == ICC and segment.startswith(PROFILE) and len(segment) > 14:
            contents.profile.setdefault(segment[12], segment[14:])
            contents.profile_parts = segment[13]
        if marker in TABLES or marker in FRAMES or marker == SCAN or _tells_colours(marker, segment):
            contents.kept.append(data[start:end])
    if not contents.frame or not contents.scans:
        raise damaged()
    return _header(contents, side)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield marker, content, start and end of each segment; a scan ends with its data."""
    position, parts = 2, 0
    while match := MARKER.search(data, position):
        parts += 1
        if parts > MAX_PARTS:
            raise too_many_parts("segments")
        start, marker = match.start(), data[match.start() + 1]
        if marker == END:
            yield marker, b"", start, start + 2
            return
        if marker in ALONE:
            position = start + 2
            continue
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if end < start + 4 or end > len(data):
            return  # truncated
        segment = data[start + 4 : end]
        if marker == SCAN:
            after = AFTER_SCAN.search(data, end)
            end = after.start() if after else len(data)
        yield marker, segment, start, end
        position = end


def _note_exif(contents: _JpegContents, segment: bytes) -> None:
    if segment.startswith(b"Exif\0"):
        contents.exif.append(segment[6:])
    elif segment.startswith(XMP) and not contents.xmp:
        contents.xmp = segment


def _tells_colours(marker: int, segment: bytes) -> bool:
    return (marker == 0xE0 and segment.startswith(b"JFIF\0")) or (marker == 0xEE and segment.startswith(b"Adobe"))


def _note_scan(contents: _JpegContents, segment: bytes) -> None:
    contents.scans += 1
    if contents.scans > MAX_SCANS:
        raise too_many_parts("scans")
    components = segment[0] if segment else 0
    if not contents.frame or len(segment) < 4 + 2 * components:
        raise damaged()
    first, last, bits = segment[1 + 2 * components : 4 + 2 * components]
    for component in segment[1 : 1 + 2 * components : 2]:
        missing = contents.missing.setdefault(component, [None] * COEFFICIENTS)
        for coefficient in range(first, min(last, COEFFICIENTS - 1) + 1):
            missing[coefficient] = bits & 15


def _header(contents: _JpegContents, side: int) -> Header:
    frame = contents.frame
    height, width, components = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5]), frame[5]
    if not height or not width or len(frame) < 6 + 3 * components or not components:
        raise damaged()
    if contents.scans * width * height > MAX_SCANNED_PIXELS:
        raise too_many_parts("scans")
    content = b"".join(contents.kept)
    if contents.ended:
        content += b"\xff\xd9"
    else:
        whole = [contents.missing.get(frame[6 + 3 * part]) == [0] * COEFFICIENTS for part in range(components)]
        if not all(whole):
            raise damaged()
        # A truncated download is often padded with zeros.
        cut = content.rstrip(b"\0").removesuffix(b"\xff")
        content = cut + b"\xff\0" if content.startswith(b"\xff\0", len(cut)) else cut
    profile = b"".join(part for _, part in sorted(contents.profile.items()))
    if len(contents.profile) != contents.profile_parts or len(profile) > MAX_PROFILE_BYTES:
        profile = b""
    exif = b"".join(contents.exif)
    return Header(
        format="JPEG",
        width=width,
        height=height,
        content=content,
        memory=_memory(contents, width, height, components, side),
        orientation=orientation_of(exif[:MAX_TEXT_BYTES], contents.xmp),
        profile=profile,
        complete=contents.ended,
    )


def _memory(contents: _JpegContents, width: int, height: int, components: int, side: int) -> int:
    """Return bytes for the decoded pixels, and for all coefficients unless a single scan holds the whole picture."""
    smaller = max(part for part in (1, 2, 4, 8) if part <= max(1, min(width // side, height // side)))
    pixels = 4 * (width // smaller + 1) * (height // smaller + 1)
    if not contents.progressive and contents.scans == 1:
        return pixels
    sampling = [contents.frame[7 + 3 * part] for part in range(components)]
    most = max(1, max(factor >> 4 for factor in sampling) * max(factor & 15 for factor in sampling))
    samples = sum(max(1, (factor >> 4) * (factor & 15)) / most for factor in sampling) * width * height
    return pixels + int(2 * samples)
