"""Figures of rankings: by graded labels, and by pairs that belong together. Intervals resample photos and songs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DEPTH = 10
RELEVANT = 3.0


@dataclass(frozen=True)
class Labels:
    """What a photo or a song is about: main subjects, what else is there, and moods."""

    id: str
    main: frozenset[str]
    side: frozenset[str] = frozenset()
    mood: frozenset[str] = frozenset()


def grade(photo: Labels, song: Labels) -> float:
    """Relevance 0 to 5: 3 for a shared main label, up to 2 for main labels of one that are side labels of the other,
    up to 0.5 for shared side labels, 0.5 for a shared mood."""
    points = 3.0 * bool(photo.main & song.main)
    points += min(2, len(photo.main & song.side) + len(photo.side & song.main))
    points += min(0.5, 0.25 * len(photo.side & song.side))
    points += 0.5 * bool(photo.mood & song.mood)
    return min(5.0, points)


def grades(photos: Sequence[Labels], songs: Sequence[Labels]) -> Array:
    """(P, S)"""
    return np.array([[grade(photo, song) for song in songs] for photo in photos])


class Figures(NamedTuple):
    """One value per query, (P,); ``rank``: of the first relevant item, from 1, infinite when there is none."""

    ndcg: Array
    precision: Array
    reciprocal: Array
    rank: Array


def graded_figures(scores: Array, truth: Array, depth: int = DEPTH) -> Figures:
    """From scores and grades (P, S), the higher the better; equal scores keep the order of the columns.

    nDCG@depth has gain 2^grade - 1 and discount log2(rank + 1) (Järvelin and Kekäläinen 2002; Burges et al. 2005).
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.take_along_axis(truth, order, 1)
    discount = 1 / np.log2(np.arange(2, min(depth, truth.shape[1]) + 2))
    gained = (2 ** found[:, : len(discount)] - 1) @ discount
    ideal = (2 ** -np.sort(-truth, axis=1)[:, : len(discount)] - 1) @ discount
    hits = found >= RELEVANT
    rank = np.where(hits.any(1), hits.argmax(1) + 1.0, np.inf)
    return Figures(
        np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0), hits[:, :5].sum(1) / 5, 1 / rank, rank
    )


def pair_figures(scores: Array, partner: NDArray[np.int64]) -> dict[str, float]:
    """R@1, R@5, R@10, Med r and MRR; ``scores`` (Q, S), ``partner`` (Q,) the column that belongs to each query.

    A tie counts against the ranking.
    """
    own = np.take_along_axis(scores, partner[:, None], 1)
    rank = (scores >= own).sum(1)
    return {
        **{f"R@{depth}": float((rank <= depth).mean()) for depth in (1, 5, 10)},
        "Med r": float(np.median(rank)),
        "MRR": float((1 / rank).mean()),
    }


def interval(values: Callable[[NDArray[np.int64], NDArray[np.int64]], float], photos: int, songs: int,
             draws: int = 1000, seed: int = 0) -> tuple[float, float]:  # fmt: skip
    """95 % bootstrap interval of a figure of (rows of photos, rows of songs), both drawn with replacement.

    A song that is drawn twice makes the figure a little higher; the interval is moved back by that much.
    """
    rng = np.random.default_rng(seed)
    found = np.array([values(rng.integers(photos, size=photos), rng.integers(songs, size=songs)) for _ in range(draws)])
    low, high = np.quantile(found, [0.025, 0.975]) + values(np.arange(photos), np.arange(songs)) - found.mean()
    return float(low), float(high)


def average_precision(scores: Array, truth: NDArray[np.bool_]) -> float:
    """Of one tag over photos, (P,) each; equal scores keep their order."""
    hits = truth[np.argsort(-scores, kind="stable")]
    if not hits.any():
        return float("nan")
    return float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean())
