"""Scores that mean what they say: Platt scaling of each tag (Platt 1999), and how far off scores are.

T tags, N photos. ``known`` (N, T) says where the truth is known at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 10  # photos with the tag, and without it
# How many photos' worth the shared slope and shift weigh against a tag's own labels.
PRIOR = 20.0


def fit_calibration(logits: Array, truth: Bools, known: Bools, fewest: int = FEWEST) -> tuple[Array, Array, Bools]:
    """Slope and shift of each tag, (T,): its score is sigmoid(slope * logit + shift); and which tags had labels enough.

    All tags are pulled towards the slope and shift that fit them together; without enough labels they have those.
    """
    logits = np.asarray(logits, np.float64)
    enough = ((truth & known).sum(0) >= fewest) & ((~truth & known).sum(0) >= fewest)
    slope, shift = np.ones(logits.shape[1]), np.zeros(logits.shape[1])
    if not enough.any():
        return slope, shift, enough
    cells = known[:, enough]
    together = logits[:, enough][cells][:, None], truth[:, enough][cells][:, None]
    (shared,) = _platt(*together, np.ones_like(together[1]), np.array([1.0, 0.0]), weight=1e-3)
    fitted = _platt(logits[:, enough], truth[:, enough], known[:, enough], shared, weight=PRIOR)
    slope[:], shift[:] = shared
    slope[enough], shift[enough] = fitted.T
    return slope, shift, enough


def _platt(logits: Array, truth: Bools, known: Bools, prior: Array, weight: float, steps: int = 30) -> Array:
    """Slope and shift of each column, (T, 2), by Newton's method with an L2 prior; slopes stay above 0."""
    found = np.tile(prior, (logits.shape[1], 1))
    scale = (
        weight * np.array([max(1e-6, float(logits.var())), 1.0]) * 0.1
    )  # a unit of slope moves logits by their spread
    for _ in range(steps):
        p = _sigmoid(logits * found[:, 0] + found[:, 1])
        miss = np.where(known, p - truth, 0.0)
        curve = np.where(known, p * (1 - p), 0.0)
        gradient = np.stack([(miss * logits).sum(0), miss.sum(0)], 1) + scale * (found - prior)
        a, b, c = (curve * logits**2).sum(0) + scale[0], (curve * logits).sum(0), curve.sum(0) + scale[1]
        determinant = a * c - b * b
        move = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], 1)
        found = found - np.clip(move / determinant[:, None], -1.0, 1.0)
        found[:, 0] = np.maximum(found[:, 0], 0.05)
    return found


def expected_calibration_error(scores: Array, truth: Bools, bins: int = 15) -> float:
    """Mean distance of score and truth over bins of equal mass (Naeini et al. 2015); ``scores``, ``truth`` (n,)."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(abs(scores[part].mean() - truth[part].mean()) * len(part) for part in parts) / len(order))


def calibration_figures(scores: Array, truth: Bools, known: Bools) -> dict[str, float]:
    """The error over all known cells (N, T) together, and the mean of the tags' own."""
    columns = [column for column in range(scores.shape[1]) if known[:, column].any()]
    own = [expected_calibration_error(scores[known[:, c], c], truth[known[:, c], c]) for c in columns]
    return {
        "calibration error": expected_calibration_error(scores[known], truth[known]),
        "calibration error, mean over tags": float(np.mean(own)),
    }


def cross_fitted_error(logits: Array, truth: Bools, known: Bools, seed: int = 0) -> dict[str, float]:
    """The errors of tags with enough labels before and after, each half of the photos scaled as the other says."""
    fold = np.random.default_rng(seed).permutation(len(logits)) % 2
    after = np.zeros(logits.shape)
    enough = np.ones(logits.shape[1], bool)
    for half in (0, 1):
        slope, shift, fitted = fit_calibration(*(part[fold != half] for part in (logits, truth, known)))
        after[fold == half] = _sigmoid(logits[fold == half] * slope + shift)
        enough &= fitted
    if not enough.any():
        return {"calibrated tags": 0.0}
    truth, known = truth[:, enough], known[:, enough]
    before = calibration_figures(_sigmoid(np.asarray(logits[:, enough], np.float64)), truth, known)
    scaled = calibration_figures(after[:, enough], truth, known)
    return {
        "calibrated tags": float(enough.sum()),
        **{f"{name}, before": value for name, value in before.items()},
        **{f"{name}, after": value for name, value in scaled.items()},
    }


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
