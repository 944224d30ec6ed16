"""Lyrics as they are kept, however they came: one sung line per line, a blank line between stanzas."""

from __future__ import annotations

import re
import unicodedata

from .. import lrc

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")
BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """NFC; lines end with a line feed and nothing before it; no control characters; never two blank lines in a row."""
    text = CONTROL.sub("", "\n".join(text.replace("\t", " ").splitlines()))
    lines = unicodedata.normalize("NFC", text).split("\n")
    return BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def normalised(*, lyrics: str, synced_lyrics: str) -> tuple[str, str]:
    """Both normalised; where there are only synced lyrics, the plain ones are their lines."""
    lyrics, synced_lyrics = normalise(lyrics), normalise(synced_lyrics)
    return lyrics or normalise("\n".join(line for _, line in lrc.parse(synced_lyrics))), synced_lyrics
