"""Photos to learn from, and what is known of each: captions, labels, the starting backbone's classes.

captions folder   captions.jsonl: {"image", "split": train|dev|test, "captions": [..]}, photos under images/
labels folder     labels.jsonl: {"file", "labels": [..]}, positive only
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.models import MobileNet_V2_Weights

from ..images import load_photo
from ..inputs import json_rows
from ..lyrics import WORD

TAGS = Path(__file__).with_name("tags.tsv")


@dataclass(frozen=True)
class TagSpec:
    """A tag, and the caption words, labels and ImageNet classes that say it is in a photo."""

    name: str
    kind: str
    words: frozenset[str]
    labels: frozenset[str]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Photo:
    path: Path
    source: str  # photos of one source were labelled alike
    split: str  # train, dev or test
    captions: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()


def read_tags(path: Path = TAGS) -> list[TagSpec]:
    names = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    place = {name: row for row, name in enumerate(names)}
    with path.open(newline="") as file:
        return [
            TagSpec(
                row["name"],
                row["kind"],
                frozenset(filter(None, row["words"].split(";"))),
                frozenset(filter(None, row["labels"].split(";"))),
                tuple(place[name] for name in row["imagenet"].split(";") if name),
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def read_photos(captions: Path, labels: Path, exclude: Sequence[Path] = ()) -> list[Photo]:
    """All photos with their split; the captions' test split and near-duplicates of excluded photos are left out."""
    photos = [photo for photo in read_captioned(captions) if photo.split != "test"] + read_labelled(labels)
    if not exclude:
        return photos
    forbidden = np.array(
        [difference_hash(path) for folder in exclude for path in sorted(folder.glob("*.*"))], np.uint64
    )
    return [
        photo for photo in photos if int(np.bitwise_count(forbidden ^ np.uint64(difference_hash(photo.path))).min()) > 5
    ]


def read_captioned(folder: Path) -> list[Photo]:
    """All of them, with the split that the file says: train, dev or test."""
    return [
        Photo(folder / "images" / row["image"], "captions", row["split"], captions=tuple(row["captions"]))
        for _, row in json_rows(folder / "captions.jsonl")
    ]


def read_labelled(folder: Path) -> list[Photo]:
    """A tenth, by the hash of the file's name, is dev."""
    photos = []
    for _, row in json_rows(folder / "labels.jsonl"):
        share = int(hashlib.sha256(row["file"].encode()).hexdigest(), 16) % 10
        source, labels = row["file"].split("/")[0], frozenset(row["labels"])
        photos.append(Photo(folder / row["file"], source, "train" if share else "dev", labels=labels))
    return photos


def difference_hash(path: Path) -> int:
    """64 bits that near-duplicates share but for a few: is each pixel of a 9 x 8 copy darker than the next?"""
    with Image.open(path) as image:
        small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int("".join("1" if bit else "0" for bit in (small[:, 1:] > small[:, :-1]).ravel()), 2)


def tag_targets(photos: Sequence[Photo], tags: Sequence[TagSpec], classes: Tensor) -> tuple[Tensor, Tensor]:
    """Targets and weights, (N, T) each; ``classes`` are the starting backbone's probabilities, (N, 1000).

    Captions are complete enough for negatives. Labels are positive only: of the photos they were not given to,
    those of the same source count as weak negatives and other sources weaker still. Where the starting backbone
    has classes for a tag, its opinion is distilled.
    """
    captioned = torch.tensor([bool(photo.captions) for photo in photos])[:, None]
    has_words = torch.tensor([bool(tag.words) for tag in tags])
    has_labels = torch.tensor([bool(tag.labels) for tag in tags])
    targets = (0.6 * times_said(photos, tags)).clamp(max=1.0)
    labelled = torch.tensor([[bool(tag.labels & photo.labels) for tag in tags] for photo in photos])
    targets[labelled] = 1.0

    weak = torch.where(has_labels, 0.05, 0.0).expand(len(photos), -1).clone()
    names = [photo.source for photo in photos]
    for source in set(names):
        rows = torch.tensor([name == source for name in names])
        weak[rows] = torch.where(labelled[rows].any(0), 0.3, weak[rows])
    weights = torch.where(captioned & has_words, 1.0, weak)
    weights[labelled] = 1.0

    for column, tag in enumerate(tags):
        if tag.classes:
            opinion = classes[:, list(tag.classes)].sum(1)
            targets[:, column] = torch.maximum(targets[:, column], opinion)
            weights[:, column] = torch.maximum(weights[:, column], 0.3 + 0.7 * opinion)
    return targets, weights


def times_said(photos: Sequence[Photo], tags: Sequence[TagSpec]) -> Tensor:
    """In how many of its captions each photo is said to show each tag, (N, T)."""
    columns: dict[str, list[int]] = {}
    for column, tag in enumerate(tags):
        for word in tag.words:
            columns.setdefault(word, []).append(column)
    counts = torch.zeros(len(photos), len(tags))
    for row, photo in enumerate(photos):
        for caption in photo.captions:
            words = WORD.findall(caption.lower())
            said = {*words, *map(" ".join, pairwise(words))}
            counts[row, list({column for word in said for column in columns.get(word, [])})] += 1
    return counts


class Pixels(Dataset[tuple[Tensor, int]]):
    """Normalised pixels (3, S, S) and the row of each photo; ``augment``: flips, crops and brightness."""

    def __init__(self, photos: Sequence[Photo], size: int, augment: bool) -> None:
        from torchvision.transforms import v2

        weights = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
        finish = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(weights.mean, weights.std)]
        vary = [
            v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(0.7, 1.4)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2, 0.2),
        ]
        self.photos = photos
        self.transform = v2.Compose([*(vary if augment else [v2.Resize((size, size))]), *finish])

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        pixels: Tensor = self.transform(load_photo(self.photos[row].path))
        return pixels, row
