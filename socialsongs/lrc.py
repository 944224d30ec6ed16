"""Synced lyrics in LRC: ``[01:02.50]words``, one or more stamps to a line, and its common extensions.

The libraries on PyPI (pylrc 0.1.2, lrc-kit 0.1.8, lrcparser 0.2.0, lemony-lrc-parser 0.5.0) were tried with the cases
in ``tests/test_lrc.py``; each of them leaves stamps in the text, or loses lines, in several of them.
"""

from __future__ import annotations

import re

from .sung import comparison_key, sung_part

# Minutes and seconds, or hours before them; a fraction after a point, a comma or a colon.
TIME = r"\s*(-?)(?:(\d{1,3}):)?(\d{1,4}):(-?)(\d{1,3})(?:[.,](\d{1,9}))?\s*"
STAMP = re.compile(rf"\[{TIME}\]")
WORD_STAMP = re.compile(rf"[\[<]{TIME}[\]>]")
LEADING = re.compile(rf"\s*(?:\[{TIME}\]\s*)+")
OFFSET = re.compile(r"^\s*\[\s*offset\s*:\s*([+-]?\d{1,9})\s*(?:ms)?\s*\]", re.IGNORECASE | re.MULTILINE)
BACKGROUND = re.compile(r"\[bg:\s*([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]", re.IGNORECASE)
VOICE = re.compile(r"^(?:v\d{1,4}|[FMD]|male|female|both|duet|男女?|女男?|合唱?)\s*[:：]\s*", re.IGNORECASE)
SHORTEST_SONG_MS = 20_000


def parse(text: str) -> list[tuple[int, str]]:
    """Return (milliseconds, line) by time; lines of the same time keep the order of the text.

    Stamps and voice marks are removed. Tags such as ``[ar:..]`` and lines without a stamp are left out."""
    text = text.replace("\ufeff", "")
    offsets = OFFSET.findall(text)
    earlier = int(offsets[-1]) if offsets else 0  # [offset:+500] shows lyrics half a second earlier
    hours = _counts_hours(text)
    found: list[tuple[int, str]] = []
    for row in text.splitlines():
        row = BACKGROUND.sub(r" \1 ", row)
        times = _times(row, hours)
        if times:
            said = VOICE.sub("", _strip_stamps(row), count=1)
            found += [(max(0, time - earlier), said) for time in dict.fromkeys(times)]
    return sorted(found, key=lambda line: line[0])


def has_stamps(text: str) -> bool:
    return bool(WORD_STAMP.search(text))


def is_synced(text: str) -> bool:
    """Return whether at least half of the sung lines have a stamp."""
    if not has_stamps(text):
        return False
    rows = [row for row in text.splitlines() if row.strip() and sung_part(row)]
    stamped = sum(bool(LEADING.match(row) or WORD_STAMP.match(row.strip())) for row in text.splitlines())
    return stamped > 0 and 2 * stamped >= len(rows)


def without_stamps(text: str) -> str:
    """Return the lines in the order of the text, without stamps."""
    if not has_stamps(text):
        return text
    return "\n".join(_strip_stamps(row) if has_stamps(row) else row for row in text.split("\n"))


def start_of(text: str, line: str, occurrence: int = 0) -> int | None:
    """Return when a line is sung, in milliseconds; None when it is not there.

    ``occurrence`` counts from 0; when there are fewer, the last one is used.

    Case, punctuation, spaces and the form of letters do not matter.
    """
    wanted = comparison_key(sung_part(line))
    times = [time for time, said in parse(text) if wanted and comparison_key(sung_part(said)) == wanted]
    return times[min(occurrence, len(times) - 1)] if times else None


def _strip_stamps(row: str) -> str:
    """Remove the stamps of a row, which can stand inside a word, or between words without a space."""
    said = " ".join(WORD_STAMP.sub("", row).split())
    if " " not in said and said.isascii() and len(WORD_STAMP.findall(row)) > 2:
        return " ".join(WORD_STAMP.sub(" ", row).split())
    return said


def _times(row: str, hours: bool) -> list[int]:
    """Return the times of a row in milliseconds: one for each leading stamp, else that of its first word."""
    if leading := LEADING.match(row):
        return [_milliseconds(*parts, hours=hours) for parts in STAMP.findall(leading[0])]
    first = WORD_STAMP.match(row.strip())
    return [_milliseconds(*first.groups(default=""), hours=hours)] if first else []


def _milliseconds(sign: str, first: str, second: str, inner: str, third: str, fraction: str, *, hours: bool) -> int:
    """``[12:34:56]`` is minutes, seconds, hundredths, unless ``hours``; ``[12:34:56.7]`` always has hours."""
    if first and not fraction and not hours:
        found = (int(first) * 60 + int(second)) * 1000 + int(third.ljust(3, "0"))
    else:
        minutes = int(first or 0) * 60 + int(second)
        found = (minutes * 60 + int(third)) * 1000 + int(fraction[:3].ljust(3, "0"))
    return -found if sign or inner else found


def _counts_hours(text: str) -> bool:
    """Return whether ``[a:b:c]`` means hours, minutes, seconds: with hundredths the song would be too short."""
    three = [parts for parts in STAMP.findall(text) if parts[1] and not parts[5]]
    return len(three) > 1 and all(_milliseconds(*parts, hours=False) < SHORTEST_SONG_MS for parts in three)
