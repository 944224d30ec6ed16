"""A catalogue file, JSON Lines, into the catalogue: all of it or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from ..errors import CatalogueError
from ..models import Song
from .catalogue import sync_embeddings

# Keys of a line that go to the song's fields of the same name. ``id`` becomes ``source_id``.
FIELDS = (
    "title", "artist", "album", "lyrics", "synced_lyrics", "language", "genre", "moods", "themes", "explicit", "year",
    "preview_url", "preview_start_ms", "artwork_url", "isrc", "musicbrainz_id", "licence", "markets", "popularity",
)  # fmt: skip
BATCH = 500


@dataclass
class Imported:
    created: int = 0
    updated: int = 0
    unchanged: int = 0


def import_songs(
    *, lines: Iterable[str], source: str, status: str, progress: Callable[[int], None] = lambda done: None
) -> Imported:
    """Create songs or bring those of the same source and id up to date; new ones get ``status``.

    ``progress`` is told how many lines are done. Raises CatalogueError with the line's number; then nothing changed.
    """
    result = Imported()
    seen: dict[str, int] = {}
    batch: list[Song] = []
    with transaction.atomic():
        for number, song in _read(lines, source=source, status=status):
            if song.source_id in seen:
                raise CatalogueError(f"Line {number}: the song of line {seen[song.source_id]} again ({song}).")
            seen[song.source_id] = number
            batch.append(song)
            if len(batch) == BATCH:
                _write(batch, result)
                batch = []
            progress(number)
        _write(batch, result)
        sync_embeddings()
    return result


def _read(lines: Iterable[str], *, source: str, status: str) -> Iterator[tuple[int, Song]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if "\0" in line or r"\u0000" in line:
            raise CatalogueError(f"Line {number} holds a null character, which no text may.")
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise CatalogueError(f"Line {number} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise CatalogueError(f"Line {number} is not a JSON object.")
        song = _song(row, source=source, status=status)
        try:
            song.clean_fields()
        except ValidationError as error:
            wrong = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise CatalogueError(f"Line {number} ({song.title!r}): {wrong}") from error
        yield number, song


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _song(row: dict[str, Any], *, source: str, status: str) -> Song:
    song = Song(source=source, status=status)
    for name in FIELDS:
        if row.get(name) is not None:
            setattr(song, name, row[name])
    named = f"{song.title}\0{song.artist}".casefold()
    song.source_id = str(row.get("id") or hashlib.sha256(named.encode()).hexdigest()[:32])
    return song


def _write(songs: list[Song], result: Imported) -> None:
    if not songs:
        return
    rows = Song.objects.filter(source=songs[0].source, source_id__in=[song.source_id for song in songs])
    known = {song.source_id: song for song in rows}
    changed = []
    for song in songs:
        if earlier := known.get(song.source_id):
            if any(getattr(earlier, name) != getattr(song, name) for name in FIELDS):
                song.pk, song.status, song.created_at = earlier.pk, earlier.status, earlier.created_at
                song.updated_at = timezone.now()
                changed.append(song)
            else:
                result.unchanged += 1
    created = [song for song in songs if song.source_id not in known]
    Song.objects.bulk_create(created)
    Song.objects.bulk_update(changed, [*FIELDS, "updated_at"])
    result.created += len(created)
    result.updated += len(changed)
