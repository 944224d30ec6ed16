"""What the text of a person who steers a list says of which words: "upbeat summer, no heartbreak", "nicht nur Jazz".

English and German. A text is split into clauses at punctuation and conjunctions; a marker ("no", "only", "ohne") says
how its clause is meant, and holds to the end of the clause. It holds on across "and" and "or": "no rain and snow" and
"no rain, snow or ice" refuse all of them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class Sign(StrEnum):
    """How words are meant. NEUTRAL: "not only sad songs" wants others, too, and refuses none."""

    WANTED = "wanted"
    REFUSED = "refused"
    NEUTRAL = "neutral"


class Clause(NamedTuple):
    """Words as they were typed, and how they are meant; ``only``: nothing else is wanted."""

    text: str
    sign: Sign
    only: bool = False


DISLIKE = r"(?:want|like|need|love|enjoy|play|show|stand|feel\s+like|give\s+me|care\s+for)"
NEUTRAL = r"not\s+(?:only|just)|(?:don't|do\s+not)\s+mind|nicht\s+(?:nur|bloß)|ruhig\s+auch"
ONLY = r"nothing\s+(?:but|except)|only|exclusively|nichts\s+(?:außer|als)|nur|ausschließlich"
REFUSED = rf"""
    (?:anything|everything|all)\s+(?:but|except) | other\s+than | rather\s+than | instead\s+of
    | (?:do\s+not|don't|dont|cannot|can't|can\s+not|doesn't)\s+(?:really\s+)?{DISLIKE}
    | (?:tired|sick|bored)\s+of | enough\s+of | too(?=\s+\S)
    | no | non | not | never | nothing | without | except | avoid | skip | less | fewer | hate | dislike
    | alles\s+(?:außer|ausser) | mag\s+ich\s+(?:gar\s+|überhaupt\s+)?nicht | genug\s+von
    | kein(?:e[nrms]?)? | nicht | nichts | nie | niemals | ohne | außer | ausser | weniger | (?:an)?statt | hasse
    | (?:ist|sind)\s+(?:mir\s+)?(?:viel\s+)?zu | (?<!\S\s)(?:viel\s+)?zu(?=\s+(?!haus|zweit)\S)
"""
WANTED = r"""
    more | rather | instead | mehr | lieber | stattdessen | sondern
    | i(?:'d|\s+would)?\s+(?:really\s+)?(?:like|love|want|need|prefer) | ich\s+(?:mag|will|möchte|liebe|hätte\s+gern)
"""
# Small words between a marker and what it is about.
FILLERS = r"(?:\s+(?:any|so|too|about|a|an|the|more|zu|allzu|über|ein(?:e[nrms]?)?|d(?:er|ie|as|en|em)|mehr)\b)*"
MARKER = re.compile(
    rf"\b(?:(?P<neutral>{NEUTRAL})|(?P<only>{ONLY})|(?P<refused>{REFUSED}){FILLERS}|(?P<wanted>{WANTED}))\b",
    re.IGNORECASE | re.VERBOSE,
)
BUT = r"(?<!anything )(?<!everything )(?<!nothing )(?<!all )but"  # "anything but" is a marker
END = re.compile(rf"[,.;:!?\n]+|\b(?:{BUT}|and|or|please|aber|und|oder|bitte)\b", re.IGNORECASE)
OR, AND = ("or", "oder"), ("and", "und")


def parse_wishes(text: str) -> list[Clause]:
    """Return the clauses of a text that have words, in order."""
    clauses: list[Clause] = []
    sign, only = Sign.WANTED, False
    text = text.replace("\u2019", "'")
    ends = [match.group().lower() for match in END.finditer(text)]
    for place, (clause, end) in enumerate(zip(END.split(text), ["", *ends], strict=True)):
        if end not in (*AND, *OR) and not (end == "," and _ends_in_or(ends[place:])):
            sign, only = Sign.WANTED, False
        found, sign, only = _spans(clause, sign, only)
        clauses += found
    return clauses


def _spans(clause: str, sign: Sign, only: bool) -> tuple[list[Clause], Sign, bool]:
    """Split one clause at its markers, and return with its parts the meaning that holds at its end."""
    parts: list[Clause] = []
    start = 0
    for marker in MARKER.finditer(clause):
        before, after = clause[start : marker.start()], clause[marker.end() :]
        meaning, only_marked = _meaning(marker)
        if not after.strip() and before.strip() and (only_marked or meaning is not Sign.WANTED):
            sign, only = meaning, only_marked  # "Jazz mag ich nicht", "folk only"
        parts.append(Clause(_joined(before), sign, only))
        sign, only, start = meaning, only_marked, marker.end()
    parts.append(Clause(_joined(clause[start:]), sign, only))
    return [part for part in parts if part.text], sign, only


def _meaning(marker: re.Match[str]) -> tuple[Sign, bool]:
    match marker.lastgroup:
        case "neutral":
            return Sign.NEUTRAL, False
        case "only":
            return Sign.WANTED, True
        case "refused":
            return Sign.REFUSED, False
        case _:
            return Sign.WANTED, False


def _ends_in_or(ends: list[str]) -> bool:
    return next((end for end in ends if end != ","), "") in OR


def _joined(text: str) -> str:
    return " ".join(text.split())
