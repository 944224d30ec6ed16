"""Encoded songs from their rows. A cache keeps those that were ranked last in memory."""

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
Key = tuple[int, int]  # a row, and the transaction that wrote it last


class EncodedSong(NamedTuple):
    """``lyrics_digest``: of the lyrics that were encoded, to which the line offsets belong."""

    lyric: EncodedLyric
    lyrics_digest: str


@cache
def cached_songs() -> LRUCache[Key, EncodedSong]:
    """The cache of this process, bounded by its size in bytes."""
    return LRUCache(config().SONG_CACHE_MIB * MIB, getsizeof=_size)


def _size(song: EncodedSong) -> int:
    return 1000 + song.lyric.line_states.nbytes + song.lyric.stage_one.nbytes


_lock = Lock()  # a thread suggests songs for posts while the main thread answers requests


def encoded_songs(near: Sequence[NearSong]) -> dict[int, EncodedSong]:
    """Return the songs by the ``pk`` of their rows, without those that were deleted or retired since the search."""
    songs_in_memory = cached_songs()
    with _lock:
        songs: dict[int, EncodedSong | None] = {row.pk: songs_in_memory.get((row.pk, row.version)) for row in near}
    missing = [pk for pk, song in songs.items() if song is None]
    if missing:
        rows = SongEmbedding.objects.filter(pk__in=missing, stage_one__isnull=False).annotate(version=VERSION)
        for row in rows.only("line_states", "line_offsets", "stage_one", "cell", "mean_score", "lyrics_digest"):
            song = _encoded(row)
            songs[row.pk] = song
            with _lock:
                songs_in_memory[row.pk, row.version] = song
    return {pk: song for pk, song in songs.items() if song}


def _encoded(row: SongEmbedding) -> EncodedSong:
    assert row.line_states is not None
    assert row.stage_one is not None
    stage_one = np.asarray(row.stage_one, np.float32)
    states = np.frombuffer(bytes(row.line_states), packed_type(EMBEDDING_DIM))
    lyric = EncodedLyric(states, row.line_offsets, stage_one, row.cell, row.mean_score)
    return EncodedSong(lyric, row.lyrics_digest)
