"""Ablations: the model with one part removed; the songs' mean scores are computed again each time."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..model import Image2Song
from .judged import JudgedSet
from .ranking_metrics import Array

TAG_NUMBERS = (1, 2, 3, 5, 7, 10, 15, 20)


def ablations(model: Image2Song, judged: JudgedSet) -> Iterator[tuple[str, Array]]:
    """Yield the name and the relevances (P, S) of each ablation."""
    for name, change in {
        "no attention (mean of the lines)": _no_attention,
        "no MLP (cosine of v and l(v))": _cosine_only,
        "no attributes": _no_attributes,
        "no tags (pooled feature alone)": _no_tags,
    }.items():
        changed = _copy(model)
        change(changed)
        yield name, judged.relevance(changed)


def tag_numbers(model: Image2Song, judged: JudgedSet) -> Iterator[tuple[int, Array]]:
    """Yield the relevances (P, S) with v computed from the best tag alone, the two best, and so on."""
    for number in TAG_NUMBERS:
        changed = _copy(model)
        changed.network.matcher.photo.most_certain = number
        yield number, judged.relevance(changed)


def _copy(model: Image2Song) -> Image2Song:
    changed = copy.copy(model)
    changed.network = copy.copy(model.network)
    changed.network._modules = dict(model.network._modules)
    changed.network.matcher = copy.deepcopy(model.network.matcher)
    return changed


def _no_attention(model: Image2Song) -> None:
    model.network.matcher.attends = False


def _cosine_only(model: Image2Song) -> None:
    def cosine(photos: Tensor, lyrics: Tensor) -> Tensor:
        return nn.functional.cosine_similarity(photos[:, None], lyrics, dim=2)

    model.network.matcher.relate = cosine  # type: ignore[method-assign]


def _no_attributes(model: Image2Song) -> None:
    kept = torch.tensor([kind != "attribute" for _, kind in model.tags], device=model.device)
    model.network.matcher.photo.register_forward_pre_hook(lambda _, given: (given[0] * kept, given[1]))


def _no_tags(model: Image2Song) -> None:
    """Give every photo the same tags."""
    model.network.matcher.photo.register_forward_pre_hook(lambda _, given: (torch.ones_like(given[0]), given[1]))
