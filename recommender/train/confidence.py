"""How sure a suggestion is: fitted on held-out photos and songs, and on pictures that show nothing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..evaluate.judged import Looked, look
from ..evaluate.textures import textures
from ..matcher import pad
from ..model import SHOWN_SCORE, Image2Song
from .development import Check

Array = NDArray[np.float64]
CATALOGUES = 10  # random halves of the songs, so that the best song is not always the same
TEXTURES = 10
SILENT = 0.1  # share of held-out photos, with songs that fit, that the threshold may call hopeless


def fit_confidence(model: Image2Song, logits: Tensor, features: Tensor, check: Check, seed: int) -> dict[str, float]:
    """For the card: P(the first song fits) = sigmoid(offset + relevance * r + certainty * c), and the threshold below
    which a suggestion is called a guess.

    ``logits`` (N, T) and ``features`` (N, F) of all photos.
    """
    rng = np.random.default_rng(seed)
    photos = Looked(logits[check.by_theme], features[check.by_theme])
    nothing = look(model, textures(TEXTURES, seed))
    fits = (check.theme_grades >= 2).numpy()
    shown, empty = (_relevance(model, looked, check) for looked in (photos, nothing))  # (P, S), (Q, S)
    certain, uncertain = (_certainty(model, looked) for looked in (photos, nothing))

    with_songs, textured, right = [], [], []
    for _ in range(CATALOGUES):
        songs = rng.permutation(fits.shape[1])[: fits.shape[1] // 2]
        scores = shown[:, songs]
        first = scores.argmax(1)[:, None]
        with_songs.append(np.stack([np.take_along_axis(scores, first, 1)[:, 0], certain], 1))
        right.append(np.take_along_axis(fits[:, songs], first, 1)[:, 0])
        textured.append(np.stack([empty[:, songs].max(1), uncertain], 1))
    told = np.concatenate([*with_songs, *textured])
    truth = np.concatenate([*right, np.zeros(len(told) - sum(map(len, right)))])
    offset, relevance, certainty = _logistic(told, truth)

    rows = np.concatenate(with_songs)
    known = 1 / (1 + np.exp(-(offset + relevance * rows[:, 0] + certainty * rows[:, 1])))
    threshold = np.quantile(known, SILENT)
    return {
        "offset": round(offset, 4),
        "relevance": round(relevance, 4),
        "certainty": round(certainty, 4),
        "threshold": round(float(threshold), 4),
    }


@torch.inference_mode()
def _relevance(model: Image2Song, looked: Looked, check: Check) -> Array:
    network = model.network
    encoded = network.lyrics([song.lyric for song in check.own])
    songs = (*pad(encoded.states.split(encoded.lines)), encoded.pooled)
    photos = torch.from_numpy(np.stack(looked.vectors(model))).to(model.device)
    scores = torch.cat([network.matcher(part, *songs) for part in photos.split(16)])
    means = network.matcher(network.reference, *songs).mean(0)
    found: Array = (scores - means).double().cpu().numpy()
    return found


def _certainty(model: Image2Song, looked: Looked) -> Array:
    best = np.array([view.tags[0].score for view in looked.views(model)])
    return np.where(best >= SHOWN_SCORE, best, 0.0)


def _logistic(rows: Array, truth: Array, ridge: float = 1e-3) -> list[float]:
    """Offset and weights of a logistic regression, by Newton's method."""
    x = np.concatenate([np.ones((len(rows), 1)), rows], 1)
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - truth) / len(x) + ridge * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x / len(x) + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return [float(weight) for weight in weights]
