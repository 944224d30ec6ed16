"""Bulk work: lyrics to be read for the active release and for those that are staged."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Coalesce, Greatest, Now
from pgvector import HalfVector

from recommender.model import EncodedLyric, Image2Song, Unreadable
from socialsongs.models import ModelRelease, SongEmbedding

from ..failures import Outage
from ..figures import BULK, FIGURES
from ..inference.passes import READS
from .claim import Claim, claim, delay, finish, give_back, holding, in_halves, put_back, through_outage

logger = logging.getLogger(__name__)

# One row of what was read. Django's bulk_update would write one CASE over all rows for each column.
UPDATE = """
UPDATE socialsongs_songembedding
SET stage_one = %s, cell = %s, line_states = %s, line_offsets = %s, mean_score = %s
WHERE id = %s
"""
NOTHING: dict[str, Any] = {
    "stage_one": None, "cell": None, "line_states": None, "line_offsets": [], "mean_score": 0.0,
}  # fmt: skip


def do_songs(model: Image2Song, release: ModelRelease, *, limit: int) -> int:
    """Claim a batch of songs of one release and encode them; returns how many were claimed."""
    rows = SongEmbedding.objects.filter(release=release).select_related("song").defer("stage_one", "line_states")
    with FIGURES.stage("claim"):
        claimed = claim(rows, limit=limit)
    if not claimed.rows:
        return 0
    FIGURES.batch(BULK, len(claimed.rows))
    try:
        _slow_down(release, len(claimed.rows))
        with FIGURES.stage("read"):
            read = READS.run(model.encode, [row.song.lyrics for row in claimed.rows])
        with FIGURES.stage("write"):
            _write(claimed, read)
    except (OperationalError, InterfaceError):
        give_back(claimed.rows, claimed.token)
        raise
    return len(claimed.rows)


def _slow_down(release: ModelRelease, songs: int) -> None:
    """At a limit of songs per second, the next batch may go when these songs' time is over."""
    if release.songs_per_second:
        begin = Greatest(Coalesce("encode_after", Now()), Now())
        end = begin + timedelta(seconds=songs / release.songs_per_second)
        ModelRelease.objects.filter(pk=release.pk).update(encode_after=end)


def _write(claimed: Claim[SongEmbedding], read: Sequence[EncodedLyric | Unreadable | Exception]) -> None:
    by_row = dict(zip(claimed.rows, read, strict=True))
    done = [row for row, found in by_row.items() if not isinstance(found, Exception)]
    refused = in_halves(partial(_write_together, claimed.token, by_row), done)
    for row, failure in [*((row, found) for row, found in by_row.items() if isinstance(found, Exception)), *refused]:
        if isinstance(failure, Outage):
            logger.warning("Song %s waits: %s", row.song_id, failure)
            through_outage(partial(delay, row, claimed.token, reason=failure.reason))
        else:
            logger.error("Song %s is put back", row.song_id, exc_info=failure)
            through_outage(partial(put_back, row, claimed.token))


def _write_together(token: UUID, read: Mapping[SongEmbedding, object], rows: Sequence[SongEmbedding]) -> None:
    """Ready either way: a song that cannot be encoded has been dealt with, too."""
    with holding(rows, token) as held, connection.cursor() as cursor:
        encoded, refused = [], defaultdict(list)
        for row in held:
            match read[row]:
                case Unreadable(reason):
                    refused[reason].append(row)
                case EncodedLyric(states, offsets, first, cell, mean):
                    vector = HalfVector(first.tolist()).to_text()
                    encoded.append((row, (vector, cell, states.tobytes(), offsets, mean, row.pk)))
        cursor.executemany(UPDATE, [values for _, values in encoded])
        finish([row for row, _ in encoded])
        for reason, unread in refused.items():
            finish(unread, reason=reason, **NOTHING)
