"""From how well songs fit to the list that is shown: different songs, by different artists.

Maximal marginal relevance (Carbonell and Goldstein 1998): the next song is the one that fits best after what is taken
off for its likeness to those of the list. Here it is the mean likeness and not the greatest, so that the list as a
whole is diversified (Gollapudi and Sharma 2009, max-sum) and the first places stay nearly as they were; two versions of
one song are told apart by a bound of their own.
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

# Songs as alike as that are two versions of one song.
SAME = 0.95
# Names that say that nobody knows the artist: their songs have nothing in common.
NOBODY = {"", "traditional", "trad", "anonymous", "anon", "unknown", "unknown artist", "various", "various artists"}


@lru_cache(50_000)  # the same come again with every list
def artist_key(name: str) -> str:
    """What two spellings of an artist have in common; empty where the name names nobody."""
    key = " ".join(re.findall(r"\w+", name.casefold()))
    return "" if key in NOBODY else key


def directions(differences: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of how songs differ from the mean song: their inner product is how alike they are."""
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
    above: Sequence[int] = (),
    artists_above: Sequence[str] = (),
) -> list[int]:
    """Places of up to ``limit`` of N songs, in the order in which they are shown; equal ones by place.

    utility (N,)        how well each fits, in standard deviations
    directions (N, D)   as ``directions`` makes them
    artists             by ``artist_key``; songs of "" are not counted together
    strength            what is taken off for a song that is exactly like all others of a full list; 0: the order of
                        utility, by different artists
    per_artist          songs of one artist; more come in only where there are too few others
    above               songs that stand in the list already
    artists_above       the artists of all that do
    """
    chosen: list[int] = []
    others = max(1, limit + len(above) - 1)
    likeness = np.zeros(len(utility))  # to the songs of the list, as a mean over the places of a full one
    free = np.ones(len(utility), bool)
    waiting = np.zeros(len(utility), bool)  # another version of a song of the list, or one more by its artist
    names, of_artist = np.array(artists, str), Counter[str]()

    def take(row: int) -> None:
        alike = directions @ directions[row]
        free[row] = False
        likeness[:] += alike / others
        if strength:
            waiting[:] |= alike > SAME

    def count(artist: str) -> None:
        of_artist[artist] += 1
        if artist and of_artist[artist] >= per_artist:
            waiting[:] |= names == artist

    for row in above:
        take(row)
    for artist in artists_above:
        count(artist)
    while len(chosen) < limit and free.any():
        open_to = free & ~waiting
        worth = np.where(open_to if open_to.any() else free, utility - strength * likeness, -np.inf)
        chosen.append(int(worth.argmax()))
        take(chosen[-1])
        count(artists[chosen[-1]])
    return chosen


def explore(
    chosen: Sequence[int], rest: Sequence[int], *, share: float, rng: Random
) -> tuple[list[int], list[float], int | None]:
    """In a share of the lists, give one place but the first to a song from further down, any with the same probability.

    Returns the list, the probability with which each song got its place, and the place of the song that is tried out,
    if there is one. What is chosen in such places tells how much a place itself does (Joachims et al. 2017).
    """
    listed = list(chosen)
    if len(listed) < 2 or not rest:
        return listed, [1.0] * len(listed), None
    each = share / (len(listed) - 1)
    propensities = [1.0, *[1.0 - each] * (len(listed) - 1)]
    if rng.random() >= share:
        return listed, propensities, None
    place = rng.randrange(1, len(listed))
    listed[place], propensities[place] = rng.choice(rest), each / len(rest)
    return listed, propensities, place
