"""(image, song) pairs: how they are read, and how well a model finds the one by the other.

A JSON Lines file has one pair a line, {"image": file, "lyrics": text} or {"image": file, "song": file with the text},
and perhaps "weight" (a number above 0) and "split" (train, dev or test). Files are named from the folder it lies in.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import PhotoError, load_photo
from ..inputs import InputError, json_rows, read_text
from ..model import EncodedLyric, Image2Song
from .metrics import pair_figures

SPLITS = ("train", "dev", "test")
IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Pair:
    """``weight``: how much it counts in training. ``split``: train, dev, test, or None where nothing is said."""

    image: Path
    lyrics: str
    weight: float = 1.0
    split: str | None = None


def evaluate_pairs(model: Image2Song, pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """R@1, R@5, R@10, Med r and MRR as "image2song" and as "song2image", see ``retrieval``. The catalogue is the
    distinct lyrics that the model reads, the photos are the distinct images. Raises InputError."""
    pairs = readable(model, pairs)
    if not pairs:
        raise InputError("No pair is left to evaluate: give pairs with English lyrics.")
    found = distinct(pairs)
    views = [view for images in at_once(found.images) for view in model.analyse(open_images(images))]
    songs = [song for song in model.encode(found.lyrics) if isinstance(song, EncodedLyric)]
    return retrieval(model, np.stack([view.embedding for view in views]), songs, found.together)


def retrieval(
    model: Image2Song, photos: NDArray[np.float32], songs: Sequence[EncodedLyric], together: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Figures of both directions by the full relevance; (P, D) photos, S songs, which belong together (P, S).

    Of several songs that belong to a photo the best placed one counts, and the other way round. What a photo gives to
    every song says nothing about their match: for song2image each photo's mean over the songs is removed.
    """
    scores = np.stack([model.relevance(photo, songs) for photo in photos]).astype(np.float64)
    raw = scores + [song.mean_score for song in songs]
    return {
        "image2song": _figures(scores, together),
        "song2image": _figures((raw - raw.mean(1, keepdims=True)).T, together.T),
    }


def _figures(scores: NDArray[np.float64], together: NDArray[np.bool_]) -> dict[str, float]:
    return pair_figures(scores, np.where(together, scores, -np.inf).argmax(1))


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


def readable(model: Image2Song, pairs: Sequence[Pair]) -> list[Pair]:
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


def at_once(images: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(images), IMAGES_AT_ONCE):
        yield images[start : start + IMAGES_AT_ONCE]


# Reading


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a JSON Lines file or of a folder in the style of Shuttersong. Raises InputError."""
    if path.is_dir():
        from .shuttersong import read_folder  # which makes its pairs here

        return read_folder(path)
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
