"""Writes songs to the catalogue and keeps their embedding rows in line."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from .. import dispatch
from ..codes import isrc_code, language_code, market_code
from ..database import atomic, connection
from ..models import Song
from .files import delete_file
from .lyrics import is_unsynced, normalised

# The columns that an embedding row copies from its song.
COPIED = ("lyrics_digest", "status", "explicit", "language", "genre", "markets")

# One row per song and live release. Creates missing rows, updates the copied filter columns, and queues a row again
# when its lyrics changed, which also voids the claim of a worker that encodes the old ones. Until the new lyrics are
# encoded, the song is found by the old ones, but none of its lines is shown: the old offsets do not fit the new lyrics.
SYNC = """
INSERT INTO socialsongs_songembedding AS mine (
    song_id, release_id, lyrics_digest, status, explicit, language, genre, markets,
    state, reason, attempts, queued_at, line_offsets, mean_score)
SELECT song.id, release.id, song.lyrics_digest, song.status, song.explicit, song.language, song.genre,
    song.markets, 'queued', '', 0, now(), '{}', 0
FROM (%s) AS song
CROSS JOIN socialsongs_modelrelease AS release
LEFT JOIN socialsongs_songembedding AS known ON known.song_id = song.id AND known.release_id = release.id
WHERE release.state IN ('active', 'staged')
  AND (known.id IS NULL
    OR (known.lyrics_digest, known.status, known.explicit, known.language, known.genre, known.markets)
      IS DISTINCT FROM
       (song.lyrics_digest, song.status, song.explicit, song.language, song.genre, song.markets))
ORDER BY known.id, song.id, release.id  -- in the order in which workers lock
ON CONFLICT (release_id, song_id) DO UPDATE SET
    status = excluded.status, explicit = excluded.explicit, language = excluded.language,
    genre = excluded.genre, markets = excluded.markets, lyrics_digest = excluded.lyrics_digest,
    state = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.state ELSE 'queued' END,
    line_offsets = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.line_offsets ELSE '{}' END,
    reason = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.reason ELSE '' END,
    attempts = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.attempts ELSE 0 END,
    queued_at = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.queued_at ELSE now() END,
    delayed_since = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.delayed_since END,
    lease_token = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.lease_token END
"""

# Songs that the reconciler syncs in one turn.
SLICE = 20_000


def sync_embeddings(*, songs: QuerySet[Song] | None = None) -> int:
    """Bring the embedding rows of these songs (None: all songs) in line; return how many rows changed."""
    chosen = (Song.objects.all() if songs is None else songs).order_by().values("id", *COPIED)
    # By default an empty queryset would raise EmptyResultSet.
    sql, parameters = chosen.query.get_compiler(connection=connection(), elide_empty=False).as_sql()
    with atomic(), connection().cursor() as cursor:
        cursor.execute(SYNC % sql, parameters)
        changed: int = cursor.rowcount
        if changed:
            dispatch.announce_songs()
    return changed


def sync_slice(*, after: uuid.UUID | None) -> uuid.UUID | None:
    """Sync the next SLICE songs by primary key; return the last key, or None when the walk starts over."""
    rest = Song.objects.order_by("pk")
    if after:
        rest = rest.filter(pk__gt=after)
    end = rest.values_list("pk", flat=True)[SLICE - 1 : SLICE].first()
    sync_embeddings(songs=rest.filter(pk__lte=end) if end else rest)
    return end


# The fields that ``tidy`` changes.
TIDIED = ("title", "artist", "lyrics", "synced_lyrics", "language", "markets", "isrc")


def tidy(*, song: Song) -> list[str]:
    """Normalise a song's texts and codes before validation; return notes for whoever wrote them.

    Raises ValidationError for unknown codes.
    """
    notes: list[str] = []
    wrong: dict[str, str] = {}

    def known(field: str, code_of: Callable[[str], str], text: str) -> str:
        try:
            code = code_of(text)
        except ValueError as error:
            wrong[field] = str(error)
            return text
        if field != "isrc" and code.casefold() != text.strip().casefold():
            notes.append(f"{field}: {text.strip()!r} is kept as {code!r}.")
        return code

    song.title, song.artist = song.title.strip(), song.artist.strip()
    if is_unsynced(song.synced_lyrics):
        alone = not song.lyrics.strip()
        notes.append(f"synced_lyrics: they have no time stamps{'; they are kept as plain lyrics' if alone else ''}.")
    song.lyrics, song.synced_lyrics = normalised(lyrics=song.lyrics, synced_lyrics=song.synced_lyrics)
    if song.language.strip():
        song.language = known("language", language_code, song.language)
    song.markets = list(dict.fromkeys(known("markets", market_code, market) for market in song.markets))
    song.isrc = known("isrc", isrc_code, song.isrc)
    if wrong:
        raise ValidationError(wrong)
    return notes


def save_song(*, song: Song) -> None:
    """Tidy, validate and save one song, and delete a preview that it replaces. Raises ValidationError."""
    tidy(song=song)
    song.full_clean()
    with atomic():
        before = Song.objects.filter(pk=song.pk).only("preview_file").first()
        song.save()
        sync_embeddings(songs=Song.objects.filter(pk=song.pk))
        if before and before.preview_file and before.preview_file != song.preview_file:
            delete_file(file=before.preview_file)


def set_status(*, songs: Sequence[uuid.UUID], status: str) -> int:
    """Set the status of songs; return how many changed. Their embedding rows change in the same transaction."""
    chosen = Song.objects.filter(pk__in=songs)
    with atomic():
        changed = chosen.exclude(status=status).update(status=status, updated_at=timezone.now())
        sync_embeddings(songs=chosen)
    return changed


def set_editorial(*, songs: QuerySet[Song], editorial: bool) -> int:
    """Mark songs as editorial, or no longer; return how many changed."""
    changed = Song.objects.filter(pk__in=songs.values("pk")).exclude(editorial=editorial)
    return changed.update(editorial=editorial, updated_at=timezone.now())
