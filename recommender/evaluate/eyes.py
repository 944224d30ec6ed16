"""Figures of the eyes on held-out photos: of tags, by captions and by descriptions, and of the teacher's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..train.data import Photo, TagSpec, read_tags, times_said
from .boxes import mean_precision
from .ranking_metrics import diagonal_recall
from .tagger import FEWEST_TRAINED, Array, Bools, linear_head

FEWEST_SHOWN = 5  # held-out described photos that must show a tag, or it is not measured
TEXTS = 700  # descriptions among which each photo's own is searched


@dataclass(frozen=True)
class EyesOutput:
    """The outputs of the heads for N photos: tag logits (N, T); vectors of what the photos show and evoke, (N, D)."""

    logits: Tensor
    shows: Tensor
    evokes: Tensor


@dataclass(frozen=True)
class CaptionedTags:
    """Tags whose ground truth are captions; they are the first tags of any vocabulary.

    columns         the tags that captions of enough training photos say
    rows            the held-out photos that have captions
    truth (R, C)    which of these tags the captions of these photos say
    baseline        mean average precision of a linear head on another backbone
    """

    columns: list[int]
    rows: list[int]
    truth: Bools
    baseline: float | None = None


def captioned_tags(train: Sequence[Photo], held_out: Sequence[Photo]) -> CaptionedTags:
    tags = read_tags()
    rows = [row for row, photo in enumerate(held_out) if photo.captions]
    trained = times_said([photo for photo in train if photo.captions], tags)
    said = times_said([held_out[row] for row in rows], tags) > 0
    kept = ((trained > 0).sum(0) >= FEWEST_TRAINED) & said.any(0)
    columns = kept.nonzero().flatten().tolist()
    return CaptionedTags(columns, rows, said[:, columns].numpy())


def linear_head_precision(
    captioned: CaptionedTags, trained: Sequence[Photo], features: Tensor, held_out: Tensor
) -> float:
    """Return the mean average precision of a linear head on another backbone's pooled features.

    features (M, F)    of the captioned photos of the training split, ``trained``
    held_out (R, F)    of the photos of ``captioned``; the number of epochs is chosen on them, too
    """
    counts = {
        "train": times_said(trained, read_tags())[:, captioned.columns],
        "dev": torch.from_numpy(captioned.truth).float(),
    }
    return mean_precision(linear_head({"train": features, "dev": held_out}, counts, "dev"), captioned.truth)


def eyes_figures(
    output: EyesOutput,
    captioned: CaptionedTags,
    tags: Sequence[TagSpec],
    truth: Bools,
    described: NDArray[np.int64],
    shows: Tensor,
    evokes: Tensor,
) -> dict[str, Any]:
    """Return figures on N held-out photos.

    truth (N, T)             which tags captions, labels or descriptions say
    described                rows of the photos that have a description
    shows, evokes (N, D)     the teacher's vectors
    """
    logits = output.logits.double().numpy()
    figures: dict[str, Any] = {"photos": len(logits), "captioned photos": len(captioned.rows)}
    if captioned.columns:
        ours = mean_precision(logits[np.ix_(captioned.rows, captioned.columns)], captioned.truth)
        figures |= {"captioned tags": len(captioned.columns), "captioned mAP": ours}
        if captioned.baseline:
            figures |= {"linear head on MobileNetV2": captioned.baseline, "ratio": ours / captioned.baseline}
    figures |= kind_figures(logits[described], truth[described], tags)
    rows = torch.from_numpy(described[:TEXTS])
    for name, vectors, targets in (("shows", output.shows, shows), ("evokes", output.evokes, evokes)):
        figures[f"{name} R@10 of {len(rows)}"] = diagonal_recall(_cosines(vectors[rows], targets[rows]), 10)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def kind_figures(logits: Array, truth: Bools, tags: Sequence[TagSpec]) -> dict[str, Any]:
    """Mean average precision over the tags that enough of the photos show, by kind."""
    shown = truth.sum(0) >= FEWEST_SHOWN
    kinds = np.array([tag.kind for tag in tags])
    figures: dict[str, Any] = {}
    for kind in dict.fromkeys(kinds.tolist()):
        columns = np.flatnonzero(shown & (kinds == kind))
        if len(columns):
            figures |= {
                f"{kind} mAP": mean_precision(logits[:, columns], truth[:, columns]),
                f"{kind} tags": len(columns),
            }
    return figures


def _cosines(vectors: Tensor, targets: Tensor) -> NDArray[np.float32]:
    """Return the cosine of each vector with each target, (N, N)."""
    cosines: NDArray[np.float32] = (
        nn.functional.normalize(vectors, dim=1) @ nn.functional.normalize(targets, dim=1).T
    ).numpy()
    return cosines
