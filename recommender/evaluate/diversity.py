"""How much the songs of a list differ from each other, and how evenly a catalogue's songs come into lists.

A list holds the indices of its songs in the catalogue, best first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .ranking_metrics import Array, graded_figures

DRAWS = 1000


def similarity(chosen: Sequence[int], directions: NDArray[np.float32]) -> float:
    """Return the mean cosine of two songs of a list (intra-list similarity, Ziegler et al. 2005); ``directions`` (S, D)
    as ``choose.directions`` makes them."""
    own = directions[list(chosen)].astype(np.float64)
    return float((own @ own.T)[np.triu_indices(len(own), 1)].mean())


def list_ndcg(lists: Sequence[Sequence[int]], truth: Array) -> Array:
    """Return nDCG@10 of one list for each photo, (P,), by grades (P, S); songs outside the list follow it."""
    scores = np.zeros(truth.shape)
    for row, chosen in enumerate(lists):
        scores[row, list(chosen)] = np.arange(len(chosen), 0, -1)
    return graded_figures(scores, truth).ndcg


class Hubness(NamedTuple):
    """``most``: share of the lists that the most frequent song is in. ``skewness``: of how many lists a song is in, N_k
    (Radovanović et al. 2010). ``never``: share of the songs that are in none."""

    most: float
    skewness: float
    never: float


def hubness(lists: Sequence[Sequence[int]], songs: int) -> Hubness:
    counts = np.bincount(np.concatenate([list(chosen) for chosen in lists]), minlength=songs)
    deviation = counts - counts.mean()
    spread = max(float(np.sqrt((deviation**2).mean())), 1e-12)
    return Hubness(
        float(counts.max()) / len(lists), float((deviation**3).mean()) / spread**3, float((counts == 0).mean())
    )


class Change(NamedTuple):
    """Relative change of a mean over photos, with a 95 % interval (photos drawn with replacement)."""

    value: float
    low: float
    high: float


def change(after: Array, before: Array, seed: int = 0) -> Change:
    """Return the relative change from ``before`` to ``after``, (P,) each, paired by photo."""
    drawn = np.random.default_rng(seed).integers(len(before), size=(DRAWS, len(before)))
    draws = after[drawn].mean(1) / before[drawn].mean(1) - 1
    low, high = np.quantile(draws, [0.025, 0.975])
    return Change(float(after.mean() / before.mean() - 1), float(low), float(high))
