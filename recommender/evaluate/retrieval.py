"""Retrieval figures on (image, song) pairs: the song by the image, and the image by the song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..inputs import InputError
from ..model import Image2Song
from ..pairs import Pair, distinct, encodable, image_batches, open_images
from ..results import EncodedLyric
from .ranking_metrics import pair_figures


def evaluate_pairs(model: Image2Song, pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Return R@1, R@5, R@10, Med r and MRR as "image2song" and as "song2image", see ``retrieval``.

    The catalogue are the distinct lyrics that the model encodes, the photos are the distinct images. Raises InputError.
    """
    pairs = encodable(model, pairs)
    if not pairs:
        raise InputError("No pair is left to evaluate: give pairs with English lyrics.")
    distinct_pairs = distinct(pairs)
    views = [view for images in image_batches(distinct_pairs.images) for view in model.analyse(open_images(images))]
    songs = [song for song in model.encode(distinct_pairs.lyrics) if isinstance(song, EncodedLyric)]
    return retrieval(model, np.stack([view.embedding for view in views]), songs, distinct_pairs.together)


def retrieval(
    model: Image2Song, photos: NDArray[np.float32], songs: Sequence[EncodedLyric], together: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Return figures of both directions by stage two; photos (P, D), S songs, ``together`` (P, S).

    Of several songs of a photo the best ranked one counts, and the other way round. For song2image each photo's mean
    over the songs is subtracted, since it says nothing about their match.
    """
    scores = np.stack([model.relevance(photo, songs) for photo in photos]).astype(np.float64)
    raw = scores + [song.mean_score for song in songs]
    return {
        "image2song": _figures(scores, together),
        "song2image": _figures((raw - raw.mean(1, keepdims=True)).T, together.T),
    }


def _figures(scores: NDArray[np.float64], together: NDArray[np.bool_]) -> dict[str, float]:
    return pair_figures(scores, np.where(together, scores, -np.inf).argmax(1))
