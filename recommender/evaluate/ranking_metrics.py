"""Figures of rankings: by graded labels, and by pairs that belong together. Intervals resample photos and songs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DEPTH = 10
RELEVANT = 3.0


@dataclass(frozen=True)
class Labels:
    """The labels of a photo or a song: main subjects, side subjects, moods."""

    id: str
    main: frozenset[str]
    side: frozenset[str] = frozenset()
    mood: frozenset[str] = frozenset()


def grade(photo: Labels, song: Labels) -> float:
    """Return the grade, 0 to 5: 3 for a shared main label, up to 2 for main labels that are side labels of the other,
    up to 0.5 for shared side labels, 0.5 for a shared mood."""
    points = 3.0 * bool(photo.main & song.main)
    points += min(2, len(photo.main & song.side) + len(photo.side & song.main))
    points += min(0.5, 0.25 * len(photo.side & song.side))
    points += 0.5 * bool(photo.mood & song.mood)
    return min(5.0, points)


def grades(photos: Sequence[Labels], songs: Sequence[Labels]) -> Array:
    """Return the grades (P, S)."""
    return np.array([[grade(photo, song) for song in songs] for photo in photos])


class QueryFigures(NamedTuple):
    """One value per query, (P,). ``rank``: of the first relevant item, from 1; infinite when there is none."""

    ndcg: Array
    precision: Array
    reciprocal: Array
    rank: Array


def graded_figures(scores: Array, truth: Array, depth: int = DEPTH) -> QueryFigures:
    """Return figures from scores and grades (P, S), higher is better; equal scores keep the order of the columns.

    nDCG@depth has gain 2^grade - 1 and discount log2(rank + 1) (Järvelin and Kekäläinen 2002; Burges et al. 2005).
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked_grades = np.take_along_axis(truth, order, 1)
    discount = 1 / np.log2(np.arange(2, min(depth, truth.shape[1]) + 2))
    gained = (2 ** ranked_grades[:, : len(discount)] - 1) @ discount
    ideal = (2 ** -np.sort(-truth, axis=1)[:, : len(discount)] - 1) @ discount
    hits = ranked_grades >= RELEVANT
    rank = np.where(hits.any(1), hits.argmax(1) + 1.0, np.inf)
    return QueryFigures(
        np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0), hits[:, :5].sum(1) / 5, 1 / rank, rank
    )


def pair_figures(scores: Array, partner: NDArray[np.int64]) -> dict[str, float]:
    """Return R@1, R@5, R@10, Med r and MRR; ``scores`` (Q, S), ``partner`` (Q,): the matching column of each query.

    A tie counts against the ranking.
    """
    own = np.take_along_axis(scores, partner[:, None], 1)
    rank = (scores >= own).sum(1)
    return {
        **{f"R@{depth}": float((rank <= depth).mean()) for depth in (1, 5, 10)},
        "Med r": float(np.median(rank)),
        "MRR": float((1 / rank).mean()),
    }


def diagonal_recall(similarities: NDArray[np.floating], depth: int) -> float:
    """Return how often a row's partner, on the diagonal of (N, N), is among its ``depth`` largest values.

    A tie is no miss: items with the same labels have the same vector.
    """
    own = similarities.diagonal()[:, None]
    return float(((similarities > own).sum(1) < depth).mean())


class Resampling:
    """Photos and songs drawn with replacement, the same draws for every ranking (paired bootstrap)."""

    def __init__(self, photos: int, songs: int, draws: int = 1000, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.drawn = [(rng.integers(photos, size=photos), rng.integers(songs, size=songs)) for _ in range(draws)]

    def ndcg(self, scores: Mapping[str, Array], truth: Array) -> dict[str, Array]:
        """Return nDCG@10 of each ranking (P, S) in every draw, (draws,)."""
        values_by_name: dict[str, list[float]] = {name: [] for name in scores}
        for rows, columns in self.drawn:
            chosen = np.ix_(rows, columns)
            drawn = truth[chosen]
            for name, whole in scores.items():
                values_by_name[name].append(float(graded_figures(whole[chosen], drawn).ndcg.mean()))
        return {name: np.array(values) for name, values in values_by_name.items()}

    @staticmethod
    def interval(draws: Array, value: float) -> list[float]:
        """Return the 95 % interval, moved to the value without resampling: songs drawn twice raise nDCG a little."""
        low, high = np.quantile(draws, [0.025, 0.975]) + value - draws.mean()
        return [round(float(low), 4), round(float(high), 4)]


def average_precision(scores: Array, truth: NDArray[np.bool_]) -> float:
    """Return the average precision of one tag over photos, (P,) each; equal scores keep their order."""
    hits = truth[np.argsort(-scores, kind="stable")]
    if not hits.any():
        return float("nan")
    return float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean())
