"""Bulk work: lyrics to be read for the active release and for those that are staged."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from django.db import DatabaseError

from recommender.model import EncodedLyric, Image2Song, Unreadable
from socialsongs.conf import config
from socialsongs.models import ModelRelease, SongEmbedding, State

from .claim import LeaseLost, claim, finish, holding, put_back

logger = logging.getLogger(__name__)


def do_songs(model: Image2Song, release: ModelRelease) -> int:
    """Claim a batch of songs of one release and encode them; returns how many were claimed."""
    rows = SongEmbedding.objects.filter(release=release).select_related("song")
    claimed = claim(rows, limit=config().BULK_BATCH)
    for row, encoded in zip(claimed.rows, _encode(model, claimed.rows), strict=True):
        try:
            if isinstance(encoded, Exception):
                logger.warning("Song %s is put back: %s", row.song_id, encoded)
                put_back(row, claimed.token)
                continue
            with holding(row, claimed.token):
                _save(row, encoded)
        except LeaseLost as error:
            logger.info("%s", error)
        except DatabaseError:
            logger.exception("Song %s is put back", row.song_id)
            put_back(row, claimed.token)
    return len(claimed.rows)


def _encode(model: Image2Song, rows: Sequence[SongEmbedding]) -> list[EncodedLyric | Unreadable | Exception]:
    """One pass for all lyrics; halves when it fails, down to the single song that is to blame."""
    try:
        return list(model.encode([row.song.lyrics for row in rows]))
    except (RuntimeError, ValueError) as error:
        if len(rows) == 1:
            return [error]
        middle = len(rows) // 2
        return _encode(model, rows[:middle]) + _encode(model, rows[middle:])


def _save(row: SongEmbedding, encoded: EncodedLyric | Unreadable) -> None:
    """Ready either way: a song that cannot be encoded has been dealt with, too."""
    if isinstance(encoded, Unreadable):
        finish(row, reason=encoded.reason, stage_one=None, line_states=None, line_offsets=[], mean_score=0.0)
        return
    finish(
        row,
        state=State.READY,
        stage_one=encoded.stage_one.tolist(),
        line_states=encoded.line_states.astype(np.dtype("<f2")).tobytes(),
        line_offsets=encoded.line_offsets,
        mean_score=encoded.mean_score,
    )
