"""How well a model finds the song of an (image, song) pair by its image, and the image by its song."""

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
    """R@1, R@5, R@10, Med r and MRR as "image2song" and as "song2image", see ``retrieval``. The catalogue is the
    distinct lyrics that the model reads, the photos are the distinct images. Raises InputError."""
    pairs = encodable(model, pairs)
    if not pairs:
        raise InputError("No pair is left to evaluate: give pairs with English lyrics.")
    found = distinct(pairs)
    views = [view for images in image_batches(found.images) for view in model.analyse(open_images(images))]
    songs = [song for song in model.encode(found.lyrics) if isinstance(song, EncodedLyric)]
    return retrieval(model, np.stack([view.embedding for view in views]), songs, found.together)


def retrieval(
    model: Image2Song, photos: NDArray[np.float32], songs: Sequence[EncodedLyric], together: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Figures of both directions by the full relevance; (P, D) photos, S songs, which belong together (P, S).

    Of several songs that belong to a photo the best placed one counts, and the other way round. What a photo gives to
    every song says nothing about their match: for song2image each photo's mean over the songs is removed.
    """
    scores = np.stack([model.relevance(photo, songs) for photo in photos]).astype(np.float64)
    raw = scores + [song.mean_score for song in songs]
    return {
        "image2song": _figures(scores, together),
        "song2image": _figures((raw - raw.mean(1, keepdims=True)).T, together.T),
    }


def _figures(scores: NDArray[np.float64], together: NDArray[np.bool_]) -> dict[str, float]:
    return pair_figures(scores, np.where(together, scores, -np.inf).argmax(1))
