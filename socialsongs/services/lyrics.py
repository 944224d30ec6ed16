"""Lyrics as they are kept, however they came: one sung line per line, a blank line between stanzas."""

from __future__ import annotations

import re
import unicodedata

from .. import lrc
from ..sung import sung_part, without_markup

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff]+")
BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """NFC; lines end with a line feed and nothing before it; no control characters; never two blank lines in a row."""
    text = CONTROL.sub("", "\n".join(text.replace("\t", " ").splitlines()))
    lines = unicodedata.normalize("NFC", text).split("\n")
    return BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def normalised(*, lyrics: str, synced_lyrics: str) -> tuple[str, str]:
    """Both normalised and without markup; the plain ones hold what is sung alone, and are the lines of the synced ones
    where there are no others. Alone, synced ones without a stamp are plain ones; plain ones with stamps are both."""
    lyrics, synced = normalise(without_markup(lyrics)), normalise(without_markup(synced_lyrics))
    if synced and not lyrics and not lrc.is_synced(synced):
        lyrics, synced = synced, ""
    timed = lyrics if lrc.is_synced(lyrics) else synced if not lyrics else ""
    if timed:
        lyrics, synced = "\n".join(line for _, line in lrc.parse(timed)), synced or timed
    return _sung(lrc.without_stamps(lyrics)), synced


def is_unsynced(synced_lyrics: str) -> bool:
    """Are there words, but no stamps?"""
    synced = normalise(without_markup(synced_lyrics))
    return bool(synced) and not lrc.is_synced(synced)


def _sung(lyrics: str) -> str:
    """What is not sung leaves a blank line, as a mark between stanzas does."""
    lines = lyrics.split("\n")
    sung = [line if (said := sung_part(line)) == line.strip() else said for line in lines]
    return lyrics if sung == lines else normalise("\n".join(sung))
