"""Figures of the tagger: on captioned photos, compared with a linear head on a frozen backbone, and on labelled photos.

Photos are read as in training (``train.data``); those measured here are held out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from ..backbones import load_backbone, starting_input
from ..images import PhotoError, batch, load_photo
from ..inputs import InputError
from ..model import Image2Song
from ..tagger import pool
from ..train.data import Photo, TagSpec, read_captioned, read_labelled, read_tags, times_said
from .boxes import box_figures, label_truth, mean_precision, measurable_tags, shape_figures
from .report import Section, figure_section, table_section

BASELINE = "mobilenet_v2"  # the frozen backbone that every tagger is compared with
FEWEST_TRAINED = 40  # training photos whose captions must say a tag, or it is not measured
AT_ONCE = 32
Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


def evaluate_tagger(
    model: Image2Song, captions: Path | None, labels: Path | None, weights: Path | None
) -> dict[str, dict[str, Any]]:
    """Return tables by name, each of rows of figures. Raises InputError."""
    try:
        return _tables(model, captions, labels, weights)
    except (OSError, PhotoError) as error:
        raise InputError(f"The tagger's photos or weights cannot be read: {error}") from error


def _tables(
    model: Image2Song, captions: Path | None, labels: Path | None, weights: Path | None
) -> dict[str, dict[str, Any]]:
    tags = tags_of(model)
    figures: dict[str, dict[str, Any]] = {}
    if captions:
        photos = read_captioned(captions)
        figures["captions"] = caption_figures(model, tags, photos, weights)
        figures["pooling"] = pooling_figures(model, tags, photos)
        shown = [photo.path for photo in photos if photo.split == "test"]
        figures["boxes"] = box_figures(model, shown)
    if labels:
        held_out = [photo for photo in read_labelled(labels) if photo.split == "dev"]
        figures["labels"] = label_figures(model, tags, held_out)
        figures["shape"] = shape_figures(model, tags, held_out)
    return figures


def tags_of(model: Image2Song) -> list[TagSpec]:
    """Return the words, labels and classes of the release's tags, in its order; none for unknown tags."""
    known = {tag.name: tag for tag in read_tags()}
    nothing: frozenset[str] = frozenset()
    return [known.get(name, TagSpec(name, kind, nothing, nothing, ())) for name, kind in model.tags]


def tagger_sections(figures: dict[str, dict[str, Any]]) -> list[Section]:
    titles = {
        "captions": ("Tagger: average precision on captioned photos", "tags"),
        "pooling": ("Regions pooled by", "pool"),
        "labels": ("Tagger: held-out labelled photos", "set"),
        "shape": ("Photos that are not square", "made square by"),
    }
    sections = [
        table_section(f"tagger-{name}", title, figures[name], first)
        for name, (title, first) in titles.items()
        if name in figures
    ]
    if "boxes" in figures:
        sections.append(figure_section("tagger-boxes", "Boxes, by masking", figures["boxes"]))
    return sections


def caption_figures(
    model: Image2Song, tags: Sequence[TagSpec], photos: Sequence[Photo], weights: Path | None
) -> dict[str, dict[str, Any]]:
    """Return the mean average precision on the test split by kind, over tags that enough training captions say.

    With ``weights`` of a MobileNetV2 also of a linear head on its pooled features, trained on the training
    split for the same tags, its epochs chosen on the dev split; and the ratio.
    """
    part = {name: [photo for photo in photos if photo.split == name] for name in ("train", "dev", "test")}
    said = {name: times_said(rows, tags) for name, rows in part.items()}
    kept = ((said["train"] > 0).sum(0) >= FEWEST_TRAINED) & ((said["test"] > 0).sum(0) > 0)
    columns = kept.nonzero().flatten().tolist()
    if not columns:
        raise InputError(f"No tag is said of {FEWEST_TRAINED} training photos and of a test photo.")
    truth = (said["test"] > 0).numpy()[:, columns]
    ours = tag_logits(model, part["test"])[:, columns]
    kinds = [tags[column].kind for column in columns]
    rankings = {"tagger": ours}
    if weights:
        rankings["linear head on the frozen backbone"] = _baseline_logits(model, part, said, columns, weights)
    names = {"all": list(range(len(columns)))} | {
        kind: [place for place, own in enumerate(kinds) if own == kind] for kind in dict.fromkeys(kinds)
    }
    figures: dict[str, dict[str, Any]] = {}
    for name, places in names.items():
        row: dict[str, Any] = {"tags": len(places)}
        row |= {ranking: mean_precision(scores[:, places], truth[:, places]) for ranking, scores in rankings.items()}
        row["chance"] = float(truth[:, places].mean())
        if weights:
            first, other = (scores[:, places] for scores in rankings.values())
            row |= _ratio(first, other, truth[:, places])
        figures[name] = row
    return figures


def _ratio(first: Array, other: Array, truth: Bools, draws: int = 200) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(draws):
        rows = rng.integers(len(truth), size=len(truth))
        ratios.append(mean_precision(first[rows], truth[rows]) / mean_precision(other[rows], truth[rows]))
    low, high = np.quantile(ratios, [0.025, 0.975])
    value = mean_precision(first, truth) / mean_precision(other, truth)
    return {"ratio": value, "95 %": [round(float(low), 3), round(float(high), 3)]}


def _baseline_logits(
    model: Image2Song, part: dict[str, list[Photo]], said: dict[str, Tensor], columns: list[int], weights: Path
) -> Array:
    backbone, _ = load_backbone(BASELINE, weights)
    backbone.eval().to(model.device).to(memory_format=torch.channels_last)
    x = {name: _features(model, backbone, rows) for name, rows in part.items()}
    return linear_head(x, {name: counts[:, columns] for name, counts in said.items()}, "test")


def linear_head(x: dict[str, Tensor], said: dict[str, Tensor], measured: str) -> Array:
    """Return the logits of the split ``measured`` by a linear head on pooled features ``x`` (N, F).

    The head is trained on "train" for how many captions say each tag, ``said`` (N, T); "dev" chooses the epoch.
    """
    y = (0.6 * said["train"]).clamp(max=1.0)
    torch.manual_seed(0)
    head = nn.Linear(x["train"].shape[1], y.shape[1])
    nn.init.zeros_(head.weight)
    head.bias.data = y.mean(0).clamp(1e-4, 0.5).logit()
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3, weight_decay=1e-4)
    truth = (said["dev"] > 0).numpy()
    best, scores = -1.0, np.zeros(0)
    for _ in range(25):
        for rows in torch.randperm(len(y)).split(256):
            loss = nn.functional.binary_cross_entropy_with_logits(head(x["train"][rows]), y[rows])
            optimizer.zero_grad()
            (loss * y.shape[1] / 10).backward()
            optimizer.step()
        with torch.inference_mode():
            precision = mean_precision(head(x["dev"]).double().numpy(), truth)
            if precision > best:
                best, scores = precision, head(x[measured]).double().numpy()
    return scores


def label_figures(model: Image2Song, tags: Sequence[TagSpec], photos: Sequence[Photo]) -> dict[str, dict[str, Any]]:
    """Return figures by set: mean average precision of the tags with enough labels in the set, where the photos without
    the label are the negatives; and how often the best of these tags is right, over photos with one label."""
    logits = tag_logits(model, photos)
    sets: dict[str, list[int]] = defaultdict(list)
    for row, photo in enumerate(photos):
        sets[photo.source].append(row)
    figures = {}
    for name, rows in sorted(sets.items()):
        truth = label_truth([photos[row] for row in rows], tags)
        columns = measurable_tags(truth)
        if not len(columns):
            continue
        own, scores = truth[:, columns], logits[rows][:, columns]
        single = own.sum(1) == 1
        right = np.take_along_axis(own, scores.argmax(1)[:, None], 1)[:, 0]
        figures[name] = {
            "photos": len(rows),
            "tags": len(columns),
            "mAP": mean_precision(scores, own),
            "best tag right": float(right[single].mean()) if single.any() else None,
        }
    return figures


def pooling_figures(model: Image2Song, tags: Sequence[TagSpec], photos: Sequence[Photo]) -> dict[str, dict[str, Any]]:
    """Return the mean average precision on the dev split, with the regions' logits pooled in several ways."""
    trained = [photo for photo in photos if photo.split == "train"]
    dev = [photo for photo in photos if photo.split == "dev"]
    said = times_said(dev, tags) > 0
    kept = ((times_said(trained, tags) > 0).sum(0) >= FEWEST_TRAINED) & (said.sum(0) > 0)
    columns = kept.nonzero().flatten()
    if not len(columns):
        return {}
    pools: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda z: pool(z, 0.0),
        "smooth maximum, g = 0.5": lambda z: pool(z, 0.5),
        "smooth maximum, g = 1": lambda z: pool(z, 1.0),
        "smooth maximum, g = 2": lambda z: pool(z, 2.0),
        "maximum": lambda z: z.amax((2, 3)),
        "noisy-or": lambda z: -nn.functional.logsigmoid(-z).sum((2, 3)),  # -log prod(1 - P_r), for the order alone
    }
    pooled_parts: dict[str, list[Tensor]] = defaultdict(list)
    with torch.inference_mode():
        for part in _parts(dev):
            regions = model.network.tagger(_pixels(model, part)).regions[:, columns.to(model.device)]
            for name, pooled in pools.items():
                pooled_parts[name].append(pooled(regions).cpu())
    truth = said[:, columns].numpy()
    return {
        name: {"mAP": mean_precision(torch.cat(parts).double().numpy(), truth)} for name, parts in pooled_parts.items()
    }


@torch.inference_mode()
def tag_logits(model: Image2Song, photos: Sequence[Photo]) -> Array:
    """Return the tagger's logits, (N, T)."""
    parts = [model.network.tagger(_pixels(model, part)).logits.cpu() for part in track(_parts(photos), "tagger")]
    return torch.cat(parts).double().numpy()


@torch.inference_mode()
def _features(model: Image2Song, backbone: nn.Module, photos: Sequence[Photo]) -> Tensor:
    preprocessing = starting_input(BASELINE)
    features = []
    for part in track(_parts(photos), "backbone"):
        pixels = batch([load_photo(photo.path) for photo in part], preprocessing)
        maps = backbone(pixels.to(model.device, memory_format=torch.channels_last))
        features.append(maps.mean((2, 3)).float().cpu())
    return torch.cat(features)


def _parts(photos: Sequence[Photo]) -> list[Sequence[Photo]]:
    return [photos[start : start + AT_ONCE] for start in range(0, len(photos), AT_ONCE)]


def _pixels(model: Image2Song, photos: Sequence[Photo]) -> Tensor:
    pixels = batch([load_photo(photo.path) for photo in photos], model.preprocessing)
    return pixels.to(model.device, memory_format=torch.channels_last)
