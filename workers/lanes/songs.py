"""Encode songs in the bulk lane, for the active release and for staged ones."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models.functions import Coalesce, Greatest, Now
from pgvector import HalfVector

from recommender.results import EncodedLyric, Refusal
from socialsongs.broker import BULK
from socialsongs.database import connection
from socialsongs.models import ModelRelease, SongEmbedding

from ..failures import Outage
from ..figures import FIGURES
from ..inference.loading import LoadedRelease
from ..inference.passes import LYRIC_PASSES
from .claim import (
    Claim,
    claim,
    delay,
    finish,
    holding,
    in_halves,
    put_back,
    return_after_database_error,
    through_outage,
)

logger = logging.getLogger(__name__)

# Writes one encoded song. Django's bulk_update would write one CASE over all rows for each column.
UPDATE = """
UPDATE socialsongs_songembedding
SET stage_one = %s, cell = %s, line_states = %s, line_offsets = %s, mean_score = %s
WHERE id = %s
"""
NOT_ENCODED: dict[str, Any] = {
    "stage_one": None, "cell": None, "line_states": None, "line_offsets": [], "mean_score": 0.0,
}  # fmt: skip


def encode_songs(loaded: LoadedRelease, *, limit: int) -> int:
    """Claim and encode a batch of songs for one release; return how many rows were claimed."""
    rows = SongEmbedding.objects.filter(release=loaded.release)
    with FIGURES.stage("claim"):
        claimed = claim(rows.select_related("song").defer("stage_one", "line_states"), limit=limit)
    if not claimed.rows:
        return 0
    FIGURES.batch(BULK, len(claimed.rows))
    try:
        _apply_rate_limit(loaded.release, len(claimed.rows))
        with FIGURES.stage("read"):
            results = LYRIC_PASSES.run(loaded.model.encode, [row.song.lyrics for row in claimed.rows])
        with FIGURES.stage("write"):
            _write_results(claimed, results)
    except (OperationalError, InterfaceError):
        return_after_database_error(claimed.rows, claimed.token)
        raise
    return len(claimed.rows)


def _apply_rate_limit(release: ModelRelease, songs: int) -> None:
    """Where the release has a limit of songs per second, set the time before which no further batch may start."""
    if release.songs_per_second:
        begin = Greatest(Coalesce("encode_after", Now()), Now())
        end = begin + timedelta(seconds=songs / release.songs_per_second)
        ModelRelease.objects.filter(pk=release.pk).update(encode_after=end)


def _write_results(claimed: Claim[SongEmbedding], results: Sequence[EncodedLyric | Refusal | Exception]) -> None:
    """Write what was encoded or refused; delay or put back the rows that failed."""
    by_row = dict(zip(claimed.rows, results, strict=True))
    failed = [(row, result) for row, result in by_row.items() if isinstance(result, Exception)]
    done = [row for row, result in by_row.items() if not isinstance(result, Exception)]
    failed += in_halves(partial(_write_together, claimed.token, by_row), done)
    for row, failure in failed:
        if isinstance(failure, Outage):
            logger.warning("Song %s is delayed: %s", row.song_id, failure)
            through_outage(partial(delay, row, claimed.token, reason=failure.reason))
        else:
            logger.error("Song %s is put back", row.song_id, exc_info=failure)
            through_outage(partial(put_back, row, claimed.token))


def _write_together(token: UUID, results: Mapping[SongEmbedding, object], rows: Sequence[SongEmbedding]) -> None:
    """Write rows in one transaction. Each becomes ready, also those whose lyrics the model refuses, with the reason."""
    with holding(rows, token) as held, connection().cursor() as cursor:
        encoded, refused = [], defaultdict(list)
        for row in held:
            match results[row]:
                case Refusal(reason):
                    refused[reason].append(row)
                case EncodedLyric(states, offsets, stage_one, cell, mean_score):
                    vector = HalfVector(stage_one.tolist()).to_text()
                    encoded.append((row, (vector, cell, states.tobytes(), offsets, mean_score, row.pk)))
        cursor.executemany(UPDATE, [values for _, values in encoded])
        finish([row for row, _ in encoded])
        for reason, same_reason in refused.items():
            finish(same_reason, reason=reason, **NOT_ENCODED)
