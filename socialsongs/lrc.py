"""Synced lyrics in LRC: ``[01:02.50]words``, one or more stamps to a line."""

from __future__ import annotations

import re

STAMPED = re.compile(r"((?:\[\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?\])+)(.*)")
STAMP = re.compile(r"\[(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")


def parse(text: str) -> list[tuple[int, str]]:
    """(milliseconds, line) in order of time. Tags such as ``[ar:..]`` and lines without a stamp are left out."""
    found = []
    for row in text.splitlines():
        if match := STAMPED.match(row.strip()):
            for minutes, seconds, fraction in STAMP.findall(match[1]):
                milliseconds = int((fraction or "0").ljust(3, "0"))
                found.append(((int(minutes) * 60 + int(seconds)) * 1000 + milliseconds, match[2].strip()))
    return sorted(found)


def start_of(text: str, line: str, occurrence: int = 0) -> int | None:
    """When a line is sung, in milliseconds: its n-th occurrence, else its last one; None when it is not there."""
    times = [time for time, words in parse(text) if words.casefold() == line.strip().casefold()]
    return times[min(occurrence, len(times) - 1)] if times else None
