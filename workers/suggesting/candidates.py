"""The songs that stage one found, with all that ranking and choosing ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from recommender.choose import artist_key
from recommender.results import EncodedLyric
from socialsongs.selectors.nearest import NearSong

from .song_cache import encoded_songs


@dataclass(frozen=True)
class Candidates:
    """N songs, row by row."""

    ids: list[UUID]
    lyrics: list[EncodedLyric]
    digests: list[str]  # of the lyrics that were encoded
    artists: list[str]  # by ``artist_key``
    genres: list[str]
    popularity: NDArray[np.float32]  # (N,), 0 to 1

    @cached_property
    def rows(self) -> dict[UUID, int]:
        return {song: row for row, song in enumerate(self.ids)}

    def score(self, song: UUID, scores: NDArray[np.float32]) -> float:
        """The relevance of a song, by those of all candidates (N,); 0 for one that is none of them."""
        row = self.rows.get(song)
        return 0.0 if row is None else float(scores[row])


def read_candidates(near: Sequence[NearSong]) -> Candidates:
    """Without those that left the catalogue in this moment."""
    encoded = encoded_songs(near)
    # Equal ones are ranked by id, whatever the order in which the index gave them; as numbers, which compare faster.
    rows = sorted((one for one in near if one.pk in encoded), key=attrgetter("song_id.int"))
    return Candidates(
        [one.song_id for one in rows],
        [encoded[one.pk].lyric for one in rows],
        [encoded[one.pk].lyrics_digest for one in rows],
        [artist_key(one.artist) for one in rows],
        [one.genre for one in rows],
        np.array([one.popularity for one in rows], np.float32),
    )
