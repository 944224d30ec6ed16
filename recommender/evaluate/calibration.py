"""Calibration of tag scores by Platt scaling (Platt 1999), and the calibration error.

T tags, N photos. ``known`` (N, T): where the ground truth is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 10  # positives and negatives that a tag must have
# Weight of the shared slope and shift, in photos.
PRIOR = 20.0


def fit_calibration(logits: Array, truth: Bools, known: Bools, fewest: int = FEWEST) -> tuple[Array, Array, Bools]:
    """Return slope and shift of each tag, (T,), for sigmoid(slope * logit + shift), and which tags had enough labels.

    Tags are regularised towards a shared slope and shift; those without enough labels get exactly these.
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
    """Return slope and shift of each column, (T, 2), by Newton's method with an L2 prior; slopes stay positive."""
    parameters = np.tile(prior, (logits.shape[1], 1))
    scale = (
        weight * np.array([max(1e-6, float(logits.var())), 1.0]) * 0.1
    )  # a unit of slope moves logits by their spread
    for _ in range(steps):
        p = _sigmoid(logits * parameters[:, 0] + parameters[:, 1])
        miss = np.where(known, p - truth, 0.0)
        curve = np.where(known, p * (1 - p), 0.0)
        gradient = np.stack([(miss * logits).sum(0), miss.sum(0)], 1) + scale * (parameters - prior)
        a, b, c = (curve * logits**2).sum(0) + scale[0], (curve * logits).sum(0), curve.sum(0) + scale[1]
        determinant = a * c - b * b
        move = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], 1)
        parameters = parameters - np.clip(move / determinant[:, None], -1.0, 1.0)
        parameters[:, 0] = np.maximum(parameters[:, 0], 0.05)
    return parameters


def expected_calibration_error(scores: Array, truth: Bools, bins: int = 15) -> float:
    """Return the mean distance of score and truth over bins of equal mass (Naeini et al. 2015); (n,) each."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(abs(scores[part].mean() - truth[part].mean()) * len(part) for part in parts) / len(order))


def calibration_figures(scores: Array, truth: Bools, known: Bools) -> dict[str, float]:
    """Return the error over all known cells (N, T) together, and the mean of the errors by tag."""
    columns = [column for column in range(scores.shape[1]) if known[:, column].any()]
    own = [expected_calibration_error(scores[known[:, c], c], truth[known[:, c], c]) for c in columns]
    return {
        "calibration error": expected_calibration_error(scores[known], truth[known]),
        "calibration error, mean over tags": float(np.mean(own)),
    }


def cross_fitted_error(logits: Array, truth: Bools, known: Bools, seed: int = 0) -> dict[str, float]:
    """Return the errors before and after calibration; each half of the photos is calibrated on the other half."""
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
