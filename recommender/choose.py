"""Choose the songs of a list by utility and diversity, by different artists.

Maximal marginal relevance (Carbonell and Goldstein 1998): the next song is the one with the highest utility, less a
penalty for its similarity to the songs of the list. The penalty takes the mean similarity, not the maximum, so that the
list as a whole is diverse (max-sum; Gollapudi and Sharma 2009) and the first positions hardly change. A separate limit
keeps a second version of one song out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", np.float32, np.float64)

# Songs with a higher similarity are two versions of one song.
SAME = 0.95
# Names that stand for an unknown artist; songs under such a name do not share an artist.
NOBODY = {"", "traditional", "trad", "anonymous", "anon", "unknown", "unknown artist", "various", "various artists"}


@lru_cache(50_000)  # many lists have the same artists
def artist_key(name: str) -> str:
    """Return one key for all spellings of an artist; empty for an unknown artist."""
    key = " ".join(re.findall(r"\w+", name.casefold()))
    return "" if key in NOBODY else key


def directions(differences: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale the songs' differences from the mean song, (N, D), to unit length: inner products are then similarities."""
    length = np.linalg.norm(differences, axis=1, keepdims=True)
    unit: NDArray[np.float32] = differences / np.maximum(length, 1e-6)
    return unit


def choose(
    utility: NDArray[Float],
    directions: NDArray[np.float32],
    artists: Sequence[str],
    *,
    limit: int,
    strength: float,
    per_artist: int = 1,
    listed: Sequence[int] = (),
    listed_artists: Sequence[str] = (),
) -> list[int]:
    """Return the rows of up to ``limit`` of N songs, in the order of the list; the lower row wins a tie.

    utility (N,)        in standard deviations
    directions (N, D)   from ``directions``
    artists             from ``artist_key``; songs with "" do not share an artist
    strength            penalty of a song that equals all others of a full list; 0: no penalty for similarity
    per_artist          songs per artist; further ones only fill a list that would be too short
    listed              rows of songs that are in the list already
    listed_artists      the artists of all songs that are in the list already
    """
    chosen: list[int] = []
    others = max(1, limit + len(listed) - 1)
    similarity = np.zeros(len(utility))  # sum over the list's songs, divided by the number of others when it is full
    free = np.ones(len(utility), bool)
    postponed = np.zeros(len(utility), bool)  # another version of a song of the list, or one more song of its artist
    names, of_artist = np.array(artists, str), Counter[str]()

    def take(row: int) -> None:
        similar = directions @ directions[row]
        free[row] = False
        similarity[:] += similar / others
        if strength:
            postponed[:] |= similar > SAME

    def count(artist: str) -> None:
        of_artist[artist] += 1
        if artist and of_artist[artist] >= per_artist:
            postponed[:] |= names == artist

    for row in listed:
        take(row)
    for artist in listed_artists:
        count(artist)
    while len(chosen) < limit and free.any():
        preferred = free & ~postponed
        marginal = np.where(preferred if preferred.any() else free, utility - strength * similarity, -np.inf)
        chosen.append(int(marginal.argmax()))
        take(chosen[-1])
        count(artists[chosen[-1]])
    return chosen


def explore(
    chosen: Sequence[int], further: Sequence[int], *, share: float, rng: Random
) -> tuple[list[int], list[float], int | None]:
    """In a share of the lists, give one position after the first to a song of ``further``, each with equal probability.

    Returns the list, the propensity of each song, and the index of the explored song or None. Choices of explored songs
    tell the effect of the position itself (Joachims et al. 2017).
    """
    listed = list(chosen)
    if len(listed) < 2 or not further:
        return listed, [1.0] * len(listed), None
    each = share / (len(listed) - 1)
    propensities = [1.0, *[1.0 - each] * (len(listed) - 1)]
    if rng.random() >= share:
        return listed, propensities, None
    place = rng.randrange(1, len(listed))
    listed[place], propensities[place] = rng.choice(further), each / len(further)
    return listed, propensities, place
