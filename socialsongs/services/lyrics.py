"""Normalises lyrics of any origin: one sung line per line, a blank line between stanzas."""

from __future__ import annotations

import re
import unicodedata

from .. import lrc
from ..sung import sung_part, without_markup

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff]+")
BLANK_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """Return the text in NFC, with line feeds, no trailing spaces or control characters, at most one blank line."""
    text = CONTROL.sub("", "\n".join(text.replace("\t", " ").splitlines()))
    lines = unicodedata.normalize("NFC", text).split("\n")
    return BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def normalised(*, lyrics: str, synced_lyrics: str) -> tuple[str, str]:
    """Return plain and synced lyrics, normalised and without markup; the plain ones contain only what is sung.

    Where one is missing: synced lyrics without stamps become the plain ones, plain lyrics with stamps become both, and
    synced lyrics give the plain ones their lines."""
    lyrics, synced = normalise(without_markup(lyrics)), normalise(without_markup(synced_lyrics))
    if synced and not lyrics and not lrc.is_synced(synced):
        lyrics, synced = synced, ""
    timed = lyrics if lrc.is_synced(lyrics) else synced if not lyrics else ""
    if timed:
        lyrics, synced = "\n".join(line for _, line in lrc.parse(timed)), synced or timed
    return _sung(lrc.without_stamps(lyrics)), synced


def is_unsynced(synced_lyrics: str) -> bool:
    """Return whether synced lyrics have text but no stamps."""
    synced = normalise(without_markup(synced_lyrics))
    return bool(synced) and not lrc.is_synced(synced)


def _sung(lyrics: str) -> str:
    """Replace lines that are not sung by blank lines, since section marks separate stanzas."""
    lines = lyrics.split("\n")
    sung = [line if (said := sung_part(line)) == line.strip() else said for line in lines]
    return lyrics if sung == lines else normalise("\n".join(sung))
