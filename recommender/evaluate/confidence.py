"""Figures of confidence: on photos whose matching songs are removed, and on pictures that show nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from ..model import SHOWN_SCORE, Image2Song
from ..results import EncodedLyric, PhotoView
from .judged import JudgedSet, tag_photos
from .ranking_metrics import RELEVANT, Array
from .textures import textures

SEED = 1_000_003  # that training does not use


def confidence_figures(model: Image2Song, judged: JudgedSet, scores: Array, each: int = 20) -> dict[str, float]:
    """Return rates from the relevances (P, S) of a judged set, and from ``each`` textures of every kind.

    false silent       the confidence of the first song is below the threshold, although songs fit
    false confident    it is above, although the matching songs were removed, or the picture is a texture
    """
    views = [_shown(view) for view in judged.tagger_output.views(model)]
    fits = judged.truth >= RELEVANT
    first = _confidence(model, views, scores.max(1))
    without = _confidence(model, views, np.where(fits, -np.inf, scores).max(1))
    songs = [song for song in model.encode([song.lyrics for song in judged.songs]) if isinstance(song, EncodedLyric)]

    def false_confident(pictures: Sequence[Image.Image]) -> float:
        output = tag_photos(model, pictures)
        best = np.array([model.relevance(vector, songs).max() for vector in output.vectors(model)])
        confidence = _confidence(model, [_shown(view) for view in output.views(model)], best)
        return round(float((confidence >= model.no_match).mean()), 4)

    right = np.take_along_axis(fits, scores.argmax(1)[:, None], 1)[:, 0]
    silent = first < model.no_match
    return {
        "threshold": round(model.no_match, 4),
        "false silent": round(float(silent.mean()), 4),
        "false confident": round(float((without >= model.no_match).mean()), 4),
        "false confident, textures": false_confident(textures(each, seed=SEED)),
        "false confident, textures of other kinds": false_confident(textures(each, seed=SEED, unseen=True)),
        "first song fits": round(float(right.mean()), 4),
        "first song fits, where confident": round(float(right[~silent].mean()) if (~silent).any() else 0.0, 4),
        "mean confidence": round(float(first.mean()), 4),
    }


def _shown(view: PhotoView) -> PhotoView:
    return replace(view, tags=[tag for tag in view.tags if tag.score >= SHOWN_SCORE])


def _confidence(model: Image2Song, views: Sequence[PhotoView], relevance: Array) -> Array:
    return np.array([model.confidence(view, float(best)) for view, best in zip(views, relevance, strict=True)])
