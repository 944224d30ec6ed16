"""A position-based click model, fitted on logged choices: examination by rank, and the choose rate of another order.

A song is chosen when its rank is examined, which depends on the rank alone, and when it appeals, which depends on the
photo and the song alone. Songs at a rank other than by relevance identify the two: those of exploration and diversity,
and those of lists with similar relevances.

Sources: Joachims, Swaminathan, Schnabel, "Unbiased learning-to-rank with biased feedback", WSDM 2017 (the model, the
weights, the power law); Li et al., "Offline evaluation of ranking policies with click models", KDD 2018 (the value of
another order); Swaminathan, Joachims, "The self-normalized estimator for counterfactual learning", NeurIPS 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ranks = NDArray[np.int64]

# The prior of eta, flatter than the 1/r of Joachims et al.'s simulations: too small a correction only slows learning,
# while too large a one gives a few choices most of the weight. Two deviations lower, all ranks are examined equally;
# two higher, the second is examined less than half as often as the first.
ETA, ETA_DEVIATION = 0.6, 0.3
MOST = 10.0  # greatest weight of a choice
DRAWS = 1000


@dataclass(frozen=True)
class ClickLog:
    """N lists of up to n songs, (N, n) each.

    ranks     of the songs, from 1; 0: no song
    scores    relevances by the model that made the list
    chosen    at most one song of each list
    """

    ranks: Ranks
    scores: Array
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class Examination:
    """The chance that a rank is examined, relative to the first: rank^-eta. ``error``: the standard error of eta."""

    eta: float
    error: float
    choices: int  # that it was fitted on

    def at(self, ranks: Ranks) -> Array:
        """Return the chance for each rank; 0 where there is no song."""
        return np.where(ranks > 0, np.maximum(ranks, 1).astype(np.float64) ** -self.eta, 0.0)

    def weights(self, ranks: Ranks, most: float = MOST) -> Array:
        """Return the inverse propensity weight of a choice at each rank, at most ``most``."""
        return np.minimum(most, np.maximum(ranks, 1).astype(np.float64) ** self.eta)


def fit_examination(log: ClickLog, eta: float = ETA, deviation: float = ETA_DEVIATION) -> Examination:
    """Return the maximum a posteriori of eta, with a normal prior, from the lists with a choice.

    The chosen song is modelled by a conditional logit (McFadden 1974): its chance is proportional to
    r^-eta * exp(slope * score). So the choose rate of a list drops out, and the effect of relevance is not attributed
    to the rank. Random songs at random ranks would need no such model, but they are hardly ever chosen.
    """
    rows = log.chosen.any(1)
    there, own = log.ranks[rows] > 0, log.chosen[rows]
    scores = np.where(there, log.scores[rows], np.nan)
    centred = np.nan_to_num(scores - np.nanmean(scores, axis=1, keepdims=True)) if rows.any() else np.zeros(own.shape)
    far = -np.log(np.maximum(log.ranks[rows], 1))
    known = np.stack([far, centred / (centred[there].std() + 1e-6 if rows.any() else 1.0)], 2)  # (N, n, 2)
    middle, strict = np.array([eta, 0.0]), np.diag([deviation**-2, 1e-2])
    parameters, curvature = middle.copy(), strict
    for _ in range(50):
        share = np.where(there, np.exp(known @ parameters), 0.0)
        share /= share.sum(1, keepdims=True)
        mean = np.einsum("nk,nki->ni", share, known)
        curvature = strict + np.einsum("nk,nki,nkj->ij", share, known, known) - mean.T @ mean
        parameters += np.linalg.solve(curvature, known[own].sum(0) - mean.sum(0) - strict @ (parameters - middle))
    return Examination(max(0.0, float(parameters[0])), float(np.linalg.inv(curvature)[0, 0] ** 0.5), int(rows.sum()))


def reordered(scores: Array, ranks: Ranks) -> Ranks:
    """Return the ranks (N, n) of the songs of each list by the scores (N, n), among the same ranks."""
    there = ranks > 0
    order = np.argsort(np.where(there, -scores, np.inf), axis=1, kind="stable")
    places = np.sort(np.where(there, ranks, np.iinfo(np.int64).max), axis=1)
    new_ranks = np.zeros_like(ranks)
    np.put_along_axis(new_ranks, order, places, 1)
    return np.where(there, new_ranks, 0)


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def estimate_rates(
    log: ClickLog, orders: Mapping[str, Ranks], examination: Examination, *, beside: str, seed: int = 0
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Return the estimated choose rate of each order (N, n) of the lists' songs, and its lead over the order
    ``beside``.

    Self-normalised inverse propensity scoring: a choice at rank r, of a song that the other order has at q, counts
    w = examined(q) / examined(r), at most MOST; the sum is divided by the mean of w over the list's ranks, weighted
    by their examination. Without the bound that mean is 1. The intervals draw lists with replacement, the same ones
    for every order (paired bootstrap).

    Only orders of the shown songs can be compared, not other songs. The chances of a list's songs are assumed
    independent and small: where several songs of a list appeal but only one can be chosen, the gain of a better order
    is overestimated.
    """
    examined = examination.at(log.ranks)
    sums = {}
    for name, ranks in orders.items():
        weights = np.divide(examination.at(ranks), examined, out=np.zeros_like(examined), where=examined > 0)
        weights = np.minimum(weights, MOST)
        sums[name] = np.stack([(weights * log.chosen).sum(1), (weights * examined).sum(1) / examined.sum(1)])
    rng = np.random.default_rng(seed)
    count = len(log.ranks)
    drawn: dict[str, list[float]] = {name: [] for name in orders}
    for _ in range(DRAWS):
        rows = rng.integers(count, size=count)
        for name, both in sums.items():
            gained, weight = both[:, rows].sum(1)
            drawn[name].append(gained / weight)
    value = {name: float(np.divide(*both.sum(1))) for name, both in sums.items()}
    draws = {name: np.array(values) for name, values in drawn.items()}
    rates = {name: _estimate(value[name], draws[name]) for name in orders}
    leads = {name: _estimate(value[name] - value[beside], draws[name] - draws[beside]) for name in orders}
    return rates, leads


def _estimate(value: float, draws: Array) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def difference(first: Array, second: Array, seed: int = 0) -> Estimate:
    """Return the mean of ``second`` minus that of ``first``, (N,) each, of the same N; paired bootstrap."""
    lead = second.astype(np.float64) - first
    rng = np.random.default_rng(seed)
    draws = np.array([lead[rng.integers(len(lead), size=len(lead))].mean() for _ in range(DRAWS)])
    return _estimate(float(lead.mean()), draws)
