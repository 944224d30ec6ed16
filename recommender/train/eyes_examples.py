"""The training examples of the eyes: described photos with the targets of tags and moods, and the teacher's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .data import Photo, TagSpec, tag_targets
from .teacher import WIDTH, embed

TEXTS_AT_ONCE = 2048  # in a file of the teacher's cache


@dataclass
class EyesExamples:
    """All N photos with their targets.

    targets, weights (N, T)    of tags and moods
    shows, evokes (N, WIDTH)   the teacher's unit vectors of the descriptions, with ``means`` removed; 0 without one
    classes (N, C)             the starting backbone's class probabilities
    train, dev                 rows of the training split and of the held-out split
    means                      of "shows" and "evokes", (WIDTH,) each
    """

    photos: list[Photo]
    tags: list[TagSpec]
    targets: Tensor
    weights: Tensor
    shows: Tensor
    evokes: Tensor
    classes: Tensor
    train: Tensor
    dev: Tensor
    means: dict[str, Tensor]


def prepare_eyes_examples(
    photos: list[Photo], tags: list[TagSpec], classes: Tensor, teacher_cache: Path
) -> EyesExamples:
    targets, weights = tag_and_mood_targets(photos, tags, classes)
    described = [row for row, photo in enumerate(photos) if photo.description]
    vectors, means = {}, {}
    for name in ("shows", "evokes"):
        texts = [getattr(photos[row].description, name) for row in described]
        parts = [embed(texts[at : at + TEXTS_AT_ONCE], teacher_cache) for at in range(0, len(texts), TEXTS_AT_ONCE)]
        raw = torch.from_numpy(np.concatenate(parts).astype(np.float32))
        means[name] = raw.mean(0)
        vectors[name] = torch.zeros(len(photos), WIDTH)
        vectors[name][described] = nn.functional.normalize(raw - means[name], dim=1)
    split = {name: torch.tensor([i for i, p in enumerate(photos) if p.split == name]) for name in ("train", "dev")}
    return EyesExamples(
        photos, tags, targets, weights, vectors["shows"], vectors["evokes"], classes, **split, means=means
    )


def tag_and_mood_targets(photos: Sequence[Photo], tags: Sequence[TagSpec], classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and weights, (N, T) each. What a description shows counts as much as two captions that say it."""
    captioned = [
        replace(photo, captions=photo.captions + 2 * (photo.description.shows,)) if photo.description else photo
        for photo in photos
    ]
    targets, weights = tag_targets(captioned, tags, classes)
    moods = [column for column, tag in enumerate(tags) if tag.kind == "mood"]
    for row, photo in enumerate(photos):
        if photo.description:
            has_mood = [float(tags[column].name in photo.description.moods) for column in moods]
            targets[row, moods], weights[row, moods] = torch.tensor(has_mood), 1.0
    return targets, weights


def epoch_rows(examples: EyesExamples, *, rare: float, seed: int, epoch: int) -> Tensor:
    """Return the rows of one epoch: as many as the training split has, photos with rare tags more often than others.

    A photo is repeated by its rarest tag: sqrt(rare / share of photos with the tag) times, from 1 to 3 (Gupta et al.
    2019).
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shown = examples.targets[examples.train] >= 0.99
    factors = (rare / shown.float().mean(0).clamp(min=1e-6)).sqrt().clamp(1, 3)
    repeats = torch.where(shown, factors, 1.0).amax(1)
    expected = repeats * len(repeats) / repeats.sum()
    times = (expected + torch.rand(len(expected), generator=generator)).floor().long()
    rows = examples.train.repeat_interleave(times)
    return rows[torch.randperm(len(rows), generator=generator)]
