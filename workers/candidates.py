"""The songs that stage one found, with all that ranking and choosing ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from recommender.choose import artist_key, directions
from recommender.model import EncodedLyric
from socialsongs.models import Song
from socialsongs.selectors.nearest import NearSong

from .states import encoded_songs


@dataclass(frozen=True)
class Candidates:
    """N songs, row by row."""

    ids: list[UUID]
    lyrics: list[EncodedLyric]
    artists: list[str]  # by ``artist_key``
    genres: list[str]
    popularity: NDArray[np.float32]  # (N,), 0 to 1

    @cached_property
    def rows(self) -> dict[UUID, int]:
        return {song: row for row, song in enumerate(self.ids)}

    def directions(self, mean: NDArray[np.float32]) -> NDArray[np.float32]:
        """How each differs from the mean song (D,), (N, D)."""
        return directions(np.stack([song.stage_one for song in self.lyrics]), mean)

    def score(self, song: UUID, scores: NDArray[np.float32]) -> float:
        """The relevance of a song, by those of all candidates (N,); 0 for one that is none of them."""
        row = self.rows.get(song)
        return 0.0 if row is None else float(scores[row])


def read_candidates(near: Sequence[NearSong]) -> Candidates:
    """Without those that left the catalogue in this moment."""
    encoded = encoded_songs(near)
    rows = Song.objects.filter(pk__in=encoded).values_list("pk", "artist", "genre", "popularity")
    about = {pk: (artist, genre, popularity) for pk, artist, genre, popularity in rows}
    # Equal ones are ranked by id, whatever the order in which the index gave them.
    ids = sorted(song for song in encoded if song in about)
    return Candidates(
        ids,
        [encoded[song] for song in ids],
        [artist_key(about[song][0]) for song in ids],
        [about[song][1] for song in ids],
        np.array([about[song][2] for song in ids], np.float32),
    )
