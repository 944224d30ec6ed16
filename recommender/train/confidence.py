"""Fit the content classifier and the confidence of a release.

They are fitted on held-out photos and songs, and on textures, pictures that show nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..evaluate.judged import TaggerOutput, tag_photos
from ..evaluate.textures import textures
from ..model import SHOWN_SCORE, Image2Song
from .development import DevelopmentSet, all_relevances

Array = NDArray[np.float64]
CATALOGUES = 10  # random halves of the songs, so that the best song varies
TEXTURES = 60
SILENT = 0.25  # share of held-out photos, with songs that fit, that may be below the threshold
LOST = 0.002  # share of held-out photos that may be classified as textures


def fit_content(model: Image2Song, features: Tensor, held_out: Tensor, seed: int) -> None:
    """Fit a logistic regression of photos against textures, from pooled features of photos (N, F).

    Photos vary far more than textures: the bias is then moved so that hardly any held-out photo is misclassified.
    """
    nothing = tag_photos(model, textures(TEXTURES, seed)).features
    rows = torch.cat([features, nothing])
    truth = torch.cat([torch.ones(len(features)), torch.zeros(len(nothing))]).to(rows.device)
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    fitted = nn.Linear(rows.shape[1], 1).to(rows.device)
    optimizer = torch.optim.LBFGS(fitted.parameters(), max_iter=100)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = fitted((rows - mean) / deviation).squeeze(1)
        regularised = (
            nn.functional.binary_cross_entropy_with_logits(logits, truth) + 0.01 * fitted.weight.square().sum()
        )
        regularised.backward()
        return regularised

    with torch.no_grad():
        fitted.weight.zero_()
    optimizer.step(loss)
    if not torch.isfinite(fitted.weight).all():
        raise RuntimeError("The logistic regression of photos against textures diverged.")
    content = model.network.content
    with torch.no_grad():
        content.weight.copy_(fitted.weight / deviation)
        content.bias.copy_(fitted.bias - (fitted.weight / deviation) @ mean)
        content.bias.sub_(content(held_out).flatten().quantile(LOST))


def fit_confidence(model: Image2Song, output: TaggerOutput, development: DevelopmentSet, seed: int) -> dict[str, float]:
    """Return the card's entry: P(the first song fits) = sigmoid(offset + standing * s + certainty * c), and the
    threshold below which a list is not confident.

    ``output``: the tagger's, of all photos.
    """
    rng = np.random.default_rng(seed)
    output = TaggerOutput(output.logits[development.by_theme], output.features[development.by_theme])
    fits = (development.theme_grades >= 2).numpy()
    relevance = _relevance(model, output, development)  # (P, S)
    best = np.array([view.tags[0].score for view in output.views(model)])
    certain = np.where(best >= SHOWN_SCORE, best, 0.0)
    every = np.arange(len(fits))
    inputs, truth, answerable = [], [], []
    for _ in range(CATALOGUES):
        songs = rng.permutation(fits.shape[1])[: max(1, fits.shape[1] // 2)]
        first = songs[relevance[:, songs].argmax(1)]
        inputs.append(np.stack([_standing(model, output, relevance[every, first]), certain], 1))
        truth.append(fits[every, first])
        answerable.append(fits[:, songs].any(1))
    rows = np.concatenate(inputs)
    seen = rows[:, 1] > 0  # without a tag, confidence is 0
    offset, standing, certainty = _logistic(rows[seen], np.concatenate(truth)[seen].astype(float))
    known = np.where(seen, 1 / (1 + np.exp(-(offset + rows @ np.array([standing, certainty])))), 0.0)
    known = known[np.concatenate(answerable)]
    return {
        "offset": round(offset, 4),
        "standing": round(standing, 4),
        "certainty": round(certainty, 4),
        "threshold": round(float(np.quantile(known, SILENT)), 4),
    }


@torch.no_grad()
def _relevance(model: Image2Song, output: TaggerOutput, development: DevelopmentSet) -> Array:
    network = model.network
    encoded = network.lyrics([song.lyric for song in development.own])
    photos = torch.from_numpy(np.stack(output.vectors(model))).to(model.device)
    means = all_relevances(network, network.reference, encoded).mean(0)
    relevance: Array = (all_relevances(network, photos, encoded) - means).double().cpu().numpy()
    return relevance


def _standing(model: Image2Song, output: TaggerOutput, relevance: Array) -> Array:
    return np.array(
        [model.standing(vector, float(best)) for vector, best in zip(output.vectors(model), relevance, strict=True)]
    )


def _logistic(rows: Array, truth: Array, ridge: float = 1e-3) -> list[float]:
    """Return offset and weights of a logistic regression, by Newton's method."""
    x = np.concatenate([np.ones((len(rows), 1)), rows], 1)
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - truth) / len(x) + ridge * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x / len(x) + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return [float(weight) for weight in weights]
