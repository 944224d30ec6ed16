"""Training photos, and the tag targets that follow from their captions, labels and descriptions.

captions folder   captions.jsonl: {"image", "split": train|dev|test, "captions": [..]}, photos under images/
labels folder     labels.jsonl: {"file", "labels": [..]}, positive only
described file    {"image", "shows": sentence, "evokes": text, "moods": [..]}, images relative to a folder given with it
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.models import MobileNet_V2_Weights

from ..images import PhotoError, Preprocessing, load_photo
from ..inputs import InputError, json_rows
from ..lyrics import WORD

TAGS = Path(__file__).with_name("tags.tsv")
# For described photos: more tags, and more words for the tags of TAGS; tags of the kind "mood" are last.
WORDS = Path(__file__).with_name("words.tsv")
FEWEST_SAID = 12  # descriptions that must say a tag of WORDS, or it is not in the vocabulary


@dataclass(frozen=True)
class TagSpec:
    """A tag, with the caption words, the labels and the ImageNet classes that stand for it."""

    name: str
    kind: str
    words: frozenset[str]
    labels: frozenset[str]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """A description of a photo by a person: what it shows, what it evokes, and moods (of WORDS)."""

    shows: str
    evokes: str
    moods: frozenset[str]


@dataclass(frozen=True)
class Photo:
    path: Path
    source: str  # photos of one source have labels from the same list
    split: str  # train, dev or test
    captions: tuple[str, ...] = ()
    labels: frozenset[str] = frozenset()
    description: Description | None = None


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


def tag_vocabulary(photos: Sequence[Photo]) -> list[TagSpec]:
    """Return the tags of TAGS in their order, the tags of WORDS that enough descriptions say, and the moods.

    Captions are not counted.
    """
    tags = {(tag.name, tag.kind): tag for tag in read_tags()}
    described = [replace(photo, captions=(photo.description.shows,)) for photo in photos if photo.description]
    more = read_tags(WORDS)
    often = times_said(described, more).sum(0) >= FEWEST_SAID
    for tag, enough in zip(more, often.tolist(), strict=True):
        own = tags.get((tag.name, tag.kind))
        if own:
            tags[tag.name, tag.kind] = replace(own, words=own.words | tag.words)
        elif enough or tag.kind == "mood":
            tags[tag.name, tag.kind] = tag
    return list(tags.values())


def read_photos(captions: Path, labels: Path, exclude: Sequence[Path] = ()) -> list[Photo]:
    """Return captioned and labelled photos, without the test split and near-duplicates of photos in ``exclude``."""
    photos = read_captioned(captions) + read_labelled(labels)
    return unlike([photo for photo in photos if photo.split != "test"], exclude)


def read_described_photos(
    described: Path, images: Path, captions: Path, labels: Path, exclude: Sequence[Path] = ()
) -> list[Photo]:
    """Return the photos of ``read_photos`` with their descriptions, and the other described photos, split by name.

    They are ordered by a hash, so that the first ones are a random sample. Raises InputError.
    """
    known = {photo.path.resolve(): photo for photo in read_captioned(captions) + read_labelled(labels)}
    for path, description in read_descriptions(described, images).items():
        name = path.relative_to(images).as_posix()
        photo = known.get(path.resolve()) or Photo(path, name.rpartition("/")[0], split_by_name(name))
        known[path.resolve()] = replace(photo, description=description)
    photos = [photo for photo in known.values() if photo.split != "test"]
    missing = [str(photo.path) for photo in photos if not photo.path.is_file()]
    if missing:
        raise InputError(f"{len(missing)} photos are missing: {', '.join(missing[:3])}; check the folders given")
    photos = unlike(photos, exclude)
    return sorted(photos, key=lambda photo: _number("/".join(photo.path.parts[-2:])))


def texts_of(photo: Photo) -> list[str]:
    """Return what the teacher reads of a photo: its captions, or a sentence of its labels."""
    return list(photo.captions) or [f"a photo of {', '.join(sorted(photo.labels))}"]


def unlike(photos: list[Photo], exclude: Sequence[Path]) -> list[Photo]:
    """Return the photos without near-duplicates of the photos in the folders ``exclude``."""
    if not exclude:
        return photos
    forbidden = np.array(
        [difference_hash(path) for folder in exclude for path in sorted(folder.glob("*.*"))], np.uint64
    )
    return [
        photo for photo in photos if int(np.bitwise_count(forbidden ^ np.uint64(difference_hash(photo.path))).min()) > 5
    ]


def read_captioned(folder: Path) -> list[Photo]:
    """Return the photos of a captions folder, with the split that the file names: train, dev or test."""
    return [
        Photo(folder / "images" / row["image"], "captions", row["split"], captions=tuple(row["captions"]))
        for _, row in json_rows(folder / "captions.jsonl")
    ]


def read_labelled(folder: Path) -> list[Photo]:
    """Return the photos of a labels folder; a tenth, by a hash of the name, is dev."""
    photos = []
    for _, row in json_rows(folder / "labels.jsonl"):
        source, labels = row["file"].split("/")[0], frozenset(row["labels"])
        photos.append(Photo(folder / row["file"], source, split_by_name(row["file"]), labels=labels))
    return photos


def split_by_name(name: str) -> str:
    """Return the split by a hash of the name: a tenth is dev."""
    return "train" if _number(name) % 10 else "dev"


def _number(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def read_descriptions(file: Path, root: Path) -> dict[Path, Description]:
    """Return descriptions by the path of the photo. Raises InputError."""
    known = {tag.name for tag in read_tags(WORDS) if tag.kind == "mood"}
    by_path = {}
    for where, row in json_rows(file):
        texts = [row.get(name) for name in ("image", "shows", "evokes")] if isinstance(row, dict) else [None]
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{where}: give an object with the texts image, shows and evokes")
        moods = row.get("moods")
        if not isinstance(moods, list) or not moods or not set(map(str, moods)) <= known:
            raise InputError(f"{where}: moods {moods!r}; give a list of one or more of {', '.join(sorted(known))}")
        by_path[root / row["image"]] = Description(row["shows"], row["evokes"], frozenset(moods))
    return by_path


def difference_hash(path: Path) -> int:
    """Return 64 bits, most of which near-duplicates share: is each pixel of a 9 x 8 copy darker than the next?"""
    with Image.open(path) as image:
        small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int("".join("1" if bit else "0" for bit in (small[:, 1:] > small[:, :-1]).ravel()), 2)


def tag_targets(photos: Sequence[Photo], tags: Sequence[TagSpec], classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and weights, (N, T) each; ``classes`` (N, C): the starting backbone's class probabilities.

    A caption that does not say a tag is a negative example. Labels are positive only: photos of the same source without
    the label are weak negatives, those of other sources weaker still. Where a tag has ImageNet classes, their
    probability is distilled.
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
    """Return how many captions of each photo say each tag, (N, T)."""
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
    """Normalised pixels (3, S, S) and the row of each photo; ``augment``: random crops, flips and colours.

    With a ``seed``, the augmentation of a photo depends on the seed and the row alone.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        preprocessing: Preprocessing,
        *,
        augment: bool,
        smallest: float = 0.5,
        seed: int | None = None,
    ) -> None:
        from torchvision.transforms import v2

        self.photos = photos
        self.seed = seed
        self.transform = preprocessing
        if augment:
            self.transform = v2.Compose(
                [
                    v2.RandomResizedCrop(preprocessing.size, scale=(smallest, 1.0), ratio=(0.7, 1.4)),
                    v2.RandomHorizontalFlip(),
                    v2.ColorJitter(0.2, 0.2, 0.2),
                    v2.ToImage(),
                    v2.ToDtype(torch.float32, scale=True),
                    v2.Normalize(preprocessing.mean, preprocessing.std),
                ]
            )

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        path = self.photos[row].path
        try:
            photo = load_photo(path)
        except PhotoError as error:
            raise InputError(f"{path}: {error}; replace the photo or take it out of the files that name it") from error
        if self.seed is None:
            return self.transform(photo), row
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1_000_003 + row)
            return self.transform(photo), row
