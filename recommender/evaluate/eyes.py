"""How good the eyes are on held-out photos: captioned ones, and described ones by kind of tag and by texts."""

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
from .tagger import FEWEST_TRAINED, Array, Bools, frozen_head

FEWEST_SHOWN = 5  # held-out described photos that show a tag, or it is not measured
TEXTS = 700  # among so many descriptions the right one is looked for


@dataclass(frozen=True)
class EyesOutput:
    """What the eyes say of held-out photos: logits of the tags (N, T), the views of what the photos show and of what
    they evoke (N, D)."""

    logits: Tensor
    shows: Tensor
    evokes: Tensor


@dataclass(frozen=True)
class CaptionedTags:
    """Tags that captions say, whatever descriptions say: the first tags of any vocabulary.

    ``columns``: those said of enough photos of the training; ``rows``: held-out captioned photos among the held-out
    ones; ``truth``: which of the columns their captions say, (R, C); ``beside``: mean precision of a linear head.
    """

    columns: list[int]
    rows: list[int]
    truth: Bools
    beside: float | None = None


def captioned_tags(train: Sequence[Photo], held_out: Sequence[Photo]) -> CaptionedTags:
    tags = read_tags()
    rows = [row for row, photo in enumerate(held_out) if photo.captions]
    trained = times_said([photo for photo in train if photo.captions], tags)
    said = times_said([held_out[row] for row in rows], tags) > 0
    kept = ((trained > 0).sum(0) >= FEWEST_TRAINED) & said.any(0)
    columns = kept.nonzero().flatten().tolist()
    return CaptionedTags(columns, rows, said[:, columns].numpy())


def head_on_baseline(part: CaptionedTags, features: Tensor, trained: Sequence[Photo], held_out: Tensor) -> float:
    """Mean average precision of a linear head on another backbone's features of the captioned photos: ``features`` of
    ``trained``, ``held_out`` of those of the part. Its epochs are chosen on the very photos it is measured on."""
    said = {
        "train": times_said(trained, read_tags())[:, part.columns],
        "dev": torch.from_numpy(part.truth).float(),
    }
    return mean_precision(frozen_head({"train": features, "dev": held_out}, said, "dev"), part.truth)


def eyes_figures(
    seen: EyesOutput,
    part: CaptionedTags,
    tags: Sequence[TagSpec],
    truth: Bools,
    described: NDArray[np.int64],
    shows: Tensor,
    evokes: Tensor,
) -> dict[str, Any]:
    """``truth`` (N, T): which tags descriptions show; ``described``: rows that have one; ``shows``, ``evokes`` (N, D)
    what the views should be."""
    logits = seen.logits.double().numpy()
    figures: dict[str, Any] = {"photos": len(logits), "captioned photos": len(part.rows)}
    if part.columns:
        ours = mean_precision(logits[np.ix_(part.rows, part.columns)], part.truth)
        figures |= {"captioned tags": len(part.columns), "captioned mAP": ours}
        if part.beside:
            figures |= {"linear head on MobileNetV2": part.beside, "ratio": ours / part.beside}
    figures |= kind_figures(logits[described], truth[described], tags)
    rows = torch.from_numpy(described[:TEXTS])
    for name, own, wanted in (("shows", seen.shows, shows), ("evokes", seen.evokes, evokes)):
        figures[f"{name} R@10 of {len(rows)}"] = recall(own[rows], wanted[rows], 10)
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


def recall(own: Tensor, wanted: Tensor, depth: int) -> float:
    """How often what is wanted is among the nearest; a tie is no miss."""
    near = nn.functional.normalize(own, dim=1) @ nn.functional.normalize(wanted, dim=1).T
    return float(((near > near.diag()[:, None]).sum(1) < depth).float().mean())
