"""Songs as they were encoded, from their rows; those that were ranked lately are kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache

from recommender.packing import packed_type
from recommender.results import EncodedLyric
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, SongEmbedding
from socialsongs.selectors.nearest import VERSION, NearSong

MIB = 1024 * 1024
# A row, and the transaction that wrote it last.
Key = tuple[int, int]


class EncodedSong(NamedTuple):
    """``lyrics_digest``: of the lyrics to which the lines' places belong."""

    lyric: EncodedLyric
    lyrics_digest: str


@cache
def _kept() -> LRUCache[Key, EncodedSong]:
    return LRUCache(config().SONG_CACHE_MIB * MIB, getsizeof=_size)


def _size(song: EncodedSong) -> int:
    return 1000 + song.lyric.line_states.nbytes + song.lyric.stage_one.nbytes


_lock = Lock()  # one batch is ranked beside the requests


def encoded_songs(near: Sequence[NearSong]) -> dict[int, EncodedSong]:
    """By ``pk``; without those that left the search in this moment."""
    kept = _kept()
    with _lock:
        found: dict[int, EncodedSong | None] = {one.pk: kept.get((one.pk, one.version)) for one in near}
    missing = [key for key, encoded in found.items() if encoded is None]
    if missing:
        rows = SongEmbedding.objects.filter(pk__in=missing, stage_one__isnull=False).annotate(version=VERSION)
        for row in rows.only("line_states", "line_offsets", "stage_one", "cell", "mean_score", "lyrics_digest"):
            song = _encoded(row)
            found[row.pk] = song
            with _lock:
                kept[row.pk, row.version] = song
    return {pk: encoded for pk, encoded in found.items() if encoded}


def _encoded(row: SongEmbedding) -> EncodedSong:
    assert row.line_states is not None
    assert row.stage_one is not None
    stage_one = np.asarray(row.stage_one, np.float32)
    states = np.frombuffer(bytes(row.line_states), packed_type(EMBEDDING_DIM))
    lyric = EncodedLyric(states, row.line_offsets, stage_one, row.cell, row.mean_score)
    return EncodedSong(lyric, row.lyrics_digest)
