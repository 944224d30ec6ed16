"""Songs into the catalogue, and the embedding rows that follow them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from django.db import connection, transaction
from django.utils import timezone

from .. import dispatch
from ..models import Song

# One row per song and live release: missing rows are made, copied filter columns brought in line, and a
# row whose lyrics changed is queued again, which also voids the claim of a worker that reads the old ones.
SYNC = """
INSERT INTO socialsongs_songembedding AS mine (
    song_id, release_id, lyrics_digest, status, explicit, language, genre, markets,
    state, reason, attempts, queued_at, line_offsets, mean_score)
SELECT song.id, release.id, song.lyrics_digest, song.status, song.explicit, song.language, song.genre,
    song.markets, 'queued', '', 0, now(), '{}', 0
FROM socialsongs_song AS song
CROSS JOIN socialsongs_modelrelease AS release
LEFT JOIN socialsongs_songembedding AS known ON known.song_id = song.id AND known.release_id = release.id
WHERE release.state IN ('active', 'staged')
  AND (%(all)s OR song.id = ANY(%(songs)s))
  AND (known.id IS NULL
    OR (known.lyrics_digest, known.status, known.explicit, known.language, known.genre, known.markets)
      IS DISTINCT FROM
       (song.lyrics_digest, song.status, song.explicit, song.language, song.genre, song.markets))
ORDER BY known.id, song.id, release.id  -- in the order in which workers lock
ON CONFLICT (release_id, song_id) DO UPDATE SET
    status = excluded.status, explicit = excluded.explicit, language = excluded.language,
    genre = excluded.genre, markets = excluded.markets, lyrics_digest = excluded.lyrics_digest,
    state = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.state ELSE 'queued' END,
    reason = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.reason ELSE '' END,
    attempts = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.attempts ELSE 0 END,
    queued_at = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.queued_at ELSE now() END,
    delayed_since = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.delayed_since END,
    lease_token = CASE WHEN mine.lyrics_digest = excluded.lyrics_digest THEN mine.lease_token END
"""


def sync_embeddings(*, songs: Iterable[uuid.UUID] | None = None) -> int:
    """Bring the embedding rows of these songs (None: of all) in line; returns how many rows changed."""
    chosen = None if songs is None else list(songs)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SYNC, {"all": chosen is None, "songs": chosen or []})
        changed: int = cursor.rowcount
        if changed:
            dispatch.announce_songs()
    return changed


def save_song(*, song: Song) -> None:
    """Validate and save one song. Raises django.core.exceptions.ValidationError."""
    song.full_clean()
    with transaction.atomic():
        song.save()
        sync_embeddings(songs=[song.pk])


def set_status(*, songs: Sequence[uuid.UUID], status: str) -> int:
    """Publish, retire or withdraw songs; returns how many changed. The search follows in the same commit."""
    with transaction.atomic():
        changed = (
            Song.objects.filter(pk__in=songs).exclude(status=status).update(status=status, updated_at=timezone.now())
        )
        sync_embeddings(songs=songs)
    return changed
