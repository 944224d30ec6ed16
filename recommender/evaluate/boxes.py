"""Figures of boxes, by masking them; and of the tagger on photos that are made square in several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..images import batch, load_photo
from ..model import Image2Song
from ..tagger import Box
from ..train.data import Photo, TagSpec
from .ranking_metrics import average_precision

TAGS_PER_PHOTO = 5
MOST_PHOTOS = 300
FEWEST_SHOWN = 5  # held-out photos that must show a tag, or it is not measured


def box_figures(model: Image2Song, photos: Sequence[Path], seed: int = 0) -> dict[str, Any]:
    """Mask the box of each shown tag with the photo's mean colour, and for comparison a random box of equal size.

    Return by how much each lowers the tag's logit, the mean difference with a 95 % interval over photos, and the median
    share of the photo that a box covers.
    """
    rng = np.random.default_rng(seed)
    places = {name: row for row, (name, _) in enumerate(model.tags)}
    own: list[np.ndarray] = []
    other: list[np.ndarray] = []
    areas: list[float] = []
    for path in photos[:MOST_PHOTOS]:
        photo = load_photo(path)
        shown = model.analyse([photo])[0].tags[:TAGS_PER_PHOTO]
        areas += [_area(tag.box) for tag in shown]
        tags = [tag for tag in shown if _area(tag.box) < 1]  # a box of the whole photo cannot be moved
        if not tags:
            continue
        masked = [_masked(photo, tag.box) for tag in tags]
        elsewhere = [_masked(photo, _moved(tag.box, rng)) for tag in tags]
        with torch.inference_mode():
            pixels = batch([photo, *masked, *elsewhere], model.preprocessing).to(model.device)
            logits = model.network.tagger(pixels).logits.float().cpu().numpy()
        columns = [places[tag.name] for tag in tags]
        rows = np.arange(len(tags))
        own.append(logits[0, columns] - logits[1 + rows, columns])
        other.append(logits[0, columns] - logits[1 + len(tags) + rows, columns])
    if not own:
        return {"photos": 0, "boxes": len(areas)}
    differences = np.array([float((a - b).mean()) for a, b in zip(own, other, strict=True)])
    drawn = rng.choice(differences, (1000, len(differences))).mean(1)
    return {
        "photos": len(differences),
        "boxes": len(areas),
        "logit lost, own box masked": float(np.concatenate(own).mean()),
        "logit lost, random box masked": float(np.concatenate(other).mean()),
        "difference": float(differences.mean()),
        "difference, 95 %": [round(float(end), 3) for end in np.quantile(drawn, [0.025, 0.975])],
        "median box, share of the photo": float(np.median(areas)),
    }


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _moved(box: Box, rng: np.random.Generator) -> Box:
    """Return a box of the same size at a random position."""
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return (x, y, x + width, y + height)


def _masked(photo: Image.Image, box: Box) -> Image.Image:
    copy = photo.copy()
    mean = tuple(int(value) for value in np.asarray(photo.resize((1, 1), Image.Resampling.BOX))[0, 0])
    corners = [round(part * side) for part, side in zip(box, (*photo.size, *photo.size), strict=True)]
    copy.paste(mean, (corners[0], corners[1], corners[2], corners[3]))
    return copy


def shape_figures(model: Image2Song, tags: Sequence[TagSpec], photos: Sequence[Photo]) -> dict[str, dict[str, Any]]:
    """Return the mean average precision on photos with an aspect ratio of at least 1.2, made square in three ways.

    Labels are positive only: a tag's negatives are the other photos of the same set.
    """
    long = []
    for photo in photos:
        with Image.open(photo.path) as image:
            width, height = image.size
        if max(width, height) >= 1.2 * min(width, height):
            long.append(photo)
    if not long:
        return {}
    truth = label_truth(long, tags)
    sources = np.array([photo.source for photo in long])
    sets = [
        rows for name in sorted(set(sources)) if len(measurable_tags(truth[rows := np.flatnonzero(sources == name)]))
    ]
    if not sets:
        return {}
    ways: dict[str, Callable[[Image.Image], Image.Image]] = {
        "squashing": lambda photo: photo,
        "letterbox": lambda photo: ImageOps.pad(photo, (max(photo.size),) * 2, color=(124, 116, 104)),
        "centre crop": lambda photo: ImageOps.fit(photo, (min(photo.size),) * 2),
    }
    figures = {}
    for name, way in ways.items():
        logits = []
        for photo in long:
            with torch.inference_mode():
                pixels = batch([way(load_photo(photo.path))], model.preprocessing).to(model.device)
                logits.append(model.network.tagger(pixels).logits[0].cpu().numpy())
        scores = np.array(logits)
        precision = [
            average_precision(scores[rows, c], truth[rows, c]) for rows in sets for c in measurable_tags(truth[rows])
        ]
        photos_used = sum(map(len, sets))
        figures[name] = {"photos": photos_used, "tags in sets": len(precision), "mAP": float(np.mean(precision))}
    return figures


def label_truth(photos: Sequence[Photo], tags: Sequence[TagSpec]) -> NDArray[np.bool_]:
    """Return which tags the labels of each photo name, (N, T)."""
    return np.array([[bool(tag.labels & photo.labels) for tag in tags] for photo in photos], bool)


def measurable_tags(truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the tags with enough positives and at least one negative; without negatives any tagger has precision 1."""
    return np.flatnonzero((truth.sum(0) >= FEWEST_SHOWN) & ~truth.all(0))


def mean_precision(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the mean average precision over the columns with a positive."""
    return float(np.nanmean([average_precision(scores[:, c], truth[:, c]) for c in np.flatnonzero(truth.any(0))]))
