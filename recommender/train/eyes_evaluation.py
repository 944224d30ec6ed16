"""The figures of the eyes on held-out photos after each stage of their training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..backbones import load_backbone, starting_input
from ..evaluate.eyes import CaptionedTags, EyesOutput, captioned_tags, eyes_figures, linear_head_precision
from ..evaluate.tagger import BASELINE
from .eyes_examples import EyesExamples, tag_and_mood_targets
from .features import cached_features_and_classes


class HeldOutEvaluation:
    """Writes figures on the held-out photos to a file, one JSON object a line."""

    def __init__(self, examples: EyesExamples, captioned: CaptionedTags, path: Path) -> None:
        self.examples, self.captioned, self.path = examples, captioned, path
        photos = [examples.photos[row] for row in examples.dev.tolist()]
        self.described = np.array([row for row, photo in enumerate(photos) if photo.description], np.int64)
        no_classes = torch.zeros(len(photos), examples.classes.shape[1])  # the backbone's opinion is no ground truth
        self.truth = (tag_and_mood_targets(photos, examples.tags, no_classes)[0] >= 0.99).numpy()

    def write(
        self,
        stage: str,
        heads: Callable[[Tensor], EyesOutput],
        features: Tensor,
        *,
        size: int,
        seconds: float,
        seen: int,
    ) -> None:
        """``features``: pooled, of the held-out photos. ``seen``: photos of that size trained on in that time."""
        examples, rows = self.examples, self.examples.dev
        figures = eyes_figures(
            heads(features),
            self.captioned,
            examples.tags,
            self.truth,
            self.described,
            examples.shows[rows],
            examples.evokes[rows],
        )
        pace = {"size": size, "seconds": round(seconds), "photos/s": round(seen / seconds, 1)}
        line = json.dumps({"stage": stage, **figures, **pace})
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def captioned_tags_with_baseline(
    examples: EyesExamples, baseline_weights: Path | None, cache: Path, device: torch.device
) -> CaptionedTags:
    """Return the tags that captions say; with weights of a MobileNetV2, also the precision of a linear head on it."""
    train, dev = ([examples.photos[row] for row in rows.tolist()] for rows in (examples.train, examples.dev))
    captioned = captioned_tags(train, dev)
    if not (baseline_weights and captioned.columns):
        return captioned
    trained = [photo for photo in train if photo.captions]
    photos = [*trained, *(dev[row] for row in captioned.rows)]
    frozen = load_backbone(BASELINE, baseline_weights)
    features, _ = cached_features_and_classes(*frozen, photos, starting_input(BASELINE), cache, device)
    precision = linear_head_precision(captioned, trained, features[: len(trained)], features[len(trained) :])
    return replace(captioned, baseline=precision)
