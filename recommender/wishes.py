"""The text of a person who steers a list: what it wishes and what it refuses ("upbeat summer, no heartbreak")."""

from __future__ import annotations

import re
from typing import NamedTuple

# The words after one of these, up to the end of the clause, are refused.
NEGATION = re.compile(
    r"\b(?:no|not|never|without|except|avoid|don't want|nothing|less)\b(?:\s+(?:any|too|about|a|the|more)\b)*\s*",
    re.IGNORECASE,
)
END = re.compile(r"[,.;:!?\n]+|\b(?:but|and|or|please)\b", re.IGNORECASE)


class Wishes(NamedTuple):
    """The wanted and the unwanted words of a text; either may be empty."""

    wanted: str
    unwanted: str


def parse_wishes(text: str) -> Wishes:
    """Split a text into wanted and unwanted words; "no rain and snow" and "no rain, snow or ice" refuse all of them."""
    wanted: list[str] = []
    unwanted: list[str] = []
    refused = False
    text = text.replace("\u2019", "'")
    ends = [match.group().lower() for match in END.finditer(text)]
    for place, (clause, end) in enumerate(zip(END.split(text), ["", *ends], strict=True)):
        listed = end == "," and _ends_in_or(ends[place:])
        refused = refused and (end in ("and", "or") or listed)
        before, *after = NEGATION.split(clause)
        (unwanted if refused else wanted).append(before)
        unwanted += after
        refused = refused or bool(after)
    return Wishes(_joined(wanted), _joined(unwanted))


def _ends_in_or(ends: list[str]) -> bool:
    return next((end for end in ends if end != ","), "") == "or"


def _joined(parts: list[str]) -> str:
    return " ".join(" ".join(parts).split())
