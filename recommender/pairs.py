"""(image, song) pairs, from a JSON Lines file or from a folder in the layout of Shuttersong.

A JSON Lines file has one pair a line, {"image": file, "lyrics": text} or {"image": file, "song": file with the text},
and perhaps "weight" (a number above 0) and "split" (train, dev or test). Files are named from the folder it lies in.
"""

from __future__ import annotations

import csv
import io
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .images import PhotoError, load_photo
from .inputs import InputError, json_rows, read_text
from .model import Image2Song

SPLITS = ("train", "dev", "test")
MANIFESTS = ("manifest.csv", "manifest.tsv", "manifest.jsonl")
IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Pair:
    """``weight``: how much it counts in training. ``split``: train, dev, test, or None where nothing is said."""

    image: Path
    lyrics: str
    weight: float = 1.0
    split: str | None = None


@dataclass(frozen=True)
class Distinct:
    """The images and the lyrics of pairs, each once, and the rows of both that each pair joins, (N, 2)."""

    images: list[Path]
    lyrics: list[str]
    rows: NDArray[np.int64]

    @property
    def together(self) -> NDArray[np.bool_]:
        """Whether a pair joins them, (images, lyrics)."""
        table = np.zeros((len(self.images), len(self.lyrics)), np.bool_)
        table[tuple(self.rows.T)] = True
        return table


def distinct(pairs: Sequence[Pair]) -> Distinct:
    images = {image: row for row, image in enumerate(dict.fromkeys(pair.image for pair in pairs))}
    lyrics = {text: row for row, text in enumerate(dict.fromkeys(pair.lyrics for pair in pairs))}
    rows = np.array([(images[pair.image], lyrics[pair.lyrics]) for pair in pairs], np.int64).reshape(-1, 2)
    return Distinct(list(images), list(lyrics), rows)


def encodable(model: Image2Song, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs whose lyrics the model reads; stderr has how many others there are."""
    read = {text for text in distinct(pairs).lyrics if model.refusal(text) is None}
    kept = [pair for pair in pairs if pair.lyrics in read]
    if len(kept) < len(pairs):
        print(f"{len(pairs) - len(kept)} pairs left out: lyrics without a word or not in English", file=sys.stderr)
    return kept


def open_images(paths: Sequence[Path]) -> list[Image.Image]:
    """Upright, in RGB. Raises InputError for a file that is no photo."""
    images = []
    for path in paths:
        try:
            images.append(load_photo(path))
        except (PhotoError, OSError) as error:
            raise InputError(f"{path}: {error}; replace the file, or leave out its pairs") from error
    return images


def image_batches(images: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(images), IMAGES_AT_ONCE):
        yield images[start : start + IMAGES_AT_ONCE]


# Reading


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a JSON Lines file or of a folder in the style of Shuttersong. Raises InputError."""
    if path.is_dir():
        return read_shuttersong(path)
    pairs = [make_pair(row, where=where, folder=path.parent) for where, row in json_rows(path)]
    if not pairs:
        raise InputError(f'{path}: there are no pairs; give one a line, as {{"image": "a.jpg", "lyrics": "..."}}')
    return pairs


def make_pair(row: object, *, where: str, folder: Path) -> Pair:
    """A pair from the object of a line; ``where`` names the line in errors. Raises InputError."""
    if not isinstance(row, dict):
        raise InputError(f'{where}: a pair must be a JSON object, as {{"image": "a.jpg", "lyrics": "..."}}')
    if "image" not in row:
        raise InputError(f"{where}: 'image' is missing; name the image file")
    if ("lyrics" in row) == ("song" in row):
        raise InputError(f"{where}: give either 'lyrics', a text, or 'song', the file that has it")
    for key in ("image", "lyrics", "song"):
        if not isinstance(row.get(key, ""), str):
            raise InputError(f"{where}: {key!r} must be a text")
    weight, split = row.get("weight", 1.0), row.get("split")
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < math.inf:
        raise InputError(f"{where}: 'weight' is {weight!r}; give a number above 0, or leave it out")
    if split is not None and split not in SPLITS:
        raise InputError(f"{where}: 'split' is {split!r}; give {', '.join(SPLITS)}, or leave it out")
    image = _file(row["image"], "image", where, folder)
    lyrics = row["lyrics"] if "lyrics" in row else read_text(_file(row["song"], "song", where, folder))
    return Pair(image, lyrics.strip(), float(weight), split)


def _file(name: str, key: str, where: str, folder: Path) -> Path:
    path = folder / name
    if not os.path.isfile(path):  # unlike Path.is_file, also of names that no file can have
        raise InputError(f"{where}: {key!r} names {name[:200]!r}, but there is no such file in {folder}")
    return path.resolve()


def read_shuttersong(folder: Path) -> list[Pair]:
    """The pairs that the manifest of a folder in the layout of Shuttersong names. Raises InputError."""
    found = [folder / name for name in MANIFESTS if (folder / name).is_file()]
    if len(found) != 1:
        raise InputError(f"{folder}: has {len(found)} manifests; give one of {', '.join(MANIFESTS)}")
    rows = json_rows(found[0]) if found[0].suffix == ".jsonl" else _table_rows(found[0])
    pairs = [make_pair(_located(row, where, folder), where=where, folder=folder) for where, row in rows]
    if not pairs:
        raise InputError(f"{found[0]}: there are no pairs; give one a line, with image and lyrics")
    return pairs


def _table_rows(path: Path) -> Iterator[tuple[str, object]]:
    """The rows of a CSV or TSV file; cells are texts but for the weight, empty ones are left out."""
    table = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t" if path.suffix == ".tsv" else ",")
    try:
        for row in table:
            filled: dict[str, object] = {key: text for key, text in row.items() if key and text}
            if "weight" in filled:
                filled["weight"] = _number(row["weight"])
            yield f"{path}, line {table.line_num}", filled
    except csv.Error as error:
        raise InputError(f"{path}, line {table.line_num}: {error}; save it as plain CSV or TSV") from error


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _located(row: object, where: str, folder: Path) -> object:
    """A manifest's row as ``make_pair`` takes it: files from ``folder``."""
    if not isinstance(row, dict):
        return row
    files = {}
    for column, key, inside in (("image", "image", "images"), ("lyrics", "song", "lyrics")):
        name = row.get(column)
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: {column!r} is missing; name a file of {folder / inside}")
        files[key] = name if os.path.isfile(folder / name) else str(Path(inside, name))
    return files | {key: row[key] for key in ("weight", "split") if row.get(key) is not None}
