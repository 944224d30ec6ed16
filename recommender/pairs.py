"""(image, song) pairs, from a JSON Lines file or from a folder in the layout of Shuttersong.

A JSON Lines file has one pair a line, {"image": file, "lyrics": text} or {"image": file, "song": file with lyrics}, and
optionally "weight" (a number above 0) and "split" (train, dev or test). Paths are relative to the file's folder.
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
    """An image and the lyrics of a song that fit. ``weight``: in training. ``split``: train, dev, test or not given."""

    image: Path
    lyrics: str
    weight: float = 1.0
    split: str | None = None


@dataclass(frozen=True)
class Distinct:
    """The images and the lyrics of N pairs, each once; ``rows`` (N, 2): image and lyrics of each pair."""

    images: list[Path]
    lyrics: list[str]
    rows: NDArray[np.int64]

    @property
    def together(self) -> NDArray[np.bool_]:
        """Whether an image and lyrics are a pair, (images, lyrics)."""
        table = np.zeros((len(self.images), len(self.lyrics)), np.bool_)
        table[tuple(self.rows.T)] = True
        return table


def distinct(pairs: Sequence[Pair]) -> Distinct:
    """Return each image and each lyrics of the pairs once."""
    images = {image: row for row, image in enumerate(dict.fromkeys(pair.image for pair in pairs))}
    lyrics = {text: row for row, text in enumerate(dict.fromkeys(pair.lyrics for pair in pairs))}
    rows = np.array([(images[pair.image], lyrics[pair.lyrics]) for pair in pairs], np.int64).reshape(-1, 2)
    return Distinct(list(images), list(lyrics), rows)


def encodable(model: Image2Song, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs whose lyrics the model can encode; print the number of the others to stderr."""
    accepted = {text for text in distinct(pairs).lyrics if model.refusal(text) is None}
    kept = [pair for pair in pairs if pair.lyrics in accepted]
    if len(kept) < len(pairs):
        print(f"{len(pairs) - len(kept)} pairs left out: lyrics without a word or not in English", file=sys.stderr)
    return kept


def open_images(paths: Sequence[Path]) -> list[Image.Image]:
    """Return images, upright, in RGB. Raises InputError for a file that is not a photo."""
    images = []
    for path in paths:
        try:
            images.append(load_photo(path))
        except (PhotoError, OSError) as error:
            raise InputError(f"{path}: {error}; replace the file, or leave out its pairs") from error
    return images


def image_batches(images: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Yield the paths in batches of IMAGES_AT_ONCE."""
    for start in range(0, len(images), IMAGES_AT_ONCE):
        yield images[start : start + IMAGES_AT_ONCE]


# Reading


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a JSON Lines file or of a folder in the layout of Shuttersong. Raises InputError."""
    if path.is_dir():
        return read_shuttersong(path)
    pairs = [make_pair(row, where=where, folder=path.parent) for where, row in json_rows(path)]
    if not pairs:
        raise InputError(f'{path}: there are no pairs; give one a line, as {{"image": "a.jpg", "lyrics": "..."}}')
    return pairs


def make_pair(row: object, *, where: str, folder: Path) -> Pair:
    """Return the pair of one line's JSON object; ``where`` names the line in errors. Raises InputError."""
    if not isinstance(row, dict):
        raise InputError(f'{where}: a pair must be a JSON object, as {{"image": "a.jpg", "lyrics": "..."}}')
    if "image" not in row:
        raise InputError(f"{where}: 'image' is missing; name the image file")
    if ("lyrics" in row) == ("song" in row):
        raise InputError(f"{where}: give either 'lyrics', a string, or 'song', the file that has them")
    for key in ("image", "lyrics", "song"):
        if not isinstance(row.get(key, ""), str):
            raise InputError(f"{where}: {key!r} must be a string")
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
    """Return the pairs in the manifest of a folder in the layout of Shuttersong. Raises InputError."""
    manifests = [folder / name for name in MANIFESTS if (folder / name).is_file()]
    if len(manifests) != 1:
        raise InputError(f"{folder}: has {len(manifests)} manifests; give one of {', '.join(MANIFESTS)}")
    (manifest,) = manifests
    rows = json_rows(manifest) if manifest.suffix == ".jsonl" else _table_rows(manifest)
    pairs = [make_pair(_located(row, where, folder), where=where, folder=folder) for where, row in rows]
    if not pairs:
        raise InputError(f"{manifest}: there are no pairs; give one a line, with image and lyrics")
    return pairs


def _table_rows(path: Path) -> Iterator[tuple[str, object]]:
    """Yield the rows of a CSV or TSV file without their empty cells; only the weight becomes a number."""
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
    """Return a row of a manifest as ``make_pair`` takes it, with paths relative to ``folder``."""
    if not isinstance(row, dict):
        return row
    files = {}
    for column, key, inside in (("image", "image", "images"), ("lyrics", "song", "lyrics")):
        name = row.get(column)
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: {column!r} is missing; name a file of {folder / inside}")
        files[key] = name if os.path.isfile(folder / name) else str(Path(inside, name))
    return files | {key: row[key] for key in ("weight", "split") if row.get(key) is not None}
