"""Rank a catalogue in memory, without a database: tests compare the workers' rankings with it, evaluation measures it.

Every song is ranked by its relevance; no diversity, popularity or rules. The ranking of a photo depends on that photo,
the catalogue and the release alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .images import PhotoError, load_photo
from .inputs import InputError, json_rows
from .model import Image2Song
from .results import EncodedLyric, PhotoView, Refusal

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
ENCODE_AT_ONCE = 32

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class CatalogueSong:
    id: str
    title: str
    artist: str
    lyrics: str


# Takes a model and a catalogue, returns the function that scores all songs for one photo.
Ranker = Callable[[Image2Song, Sequence[CatalogueSong]], Callable[[PhotoView], Scores]]


def read_catalogue(path: Path) -> list[CatalogueSong]:
    """Return the songs of a JSON Lines file with at least id, title, artist and lyrics. Raises InputError."""
    songs: dict[str, CatalogueSong] = {}
    for where, row in json_rows(path):
        song = _song(row, where=where)
        if song.id in songs:
            raise InputError(f"{where}: the id {song.id!r} occurs twice")
        songs[song.id] = song
    if not songs:
        raise InputError(f"{path}: there are no songs")
    return list(songs.values())


def _song(row: object, *, where: str) -> CatalogueSong:
    if not isinstance(row, dict):
        raise InputError(f"{where}: a song must be a JSON object")
    for key in ("id", "title", "artist", "lyrics"):
        if key not in row:
            raise InputError(f"{where}: {key!r} is missing")
    if not isinstance(row["id"], str | int) or isinstance(row["id"], bool) or row["id"] == "":
        raise InputError(f"{where}: 'id' must be a string or an integer")
    if not isinstance(row["lyrics"], str | None):
        raise InputError(f"{where}: 'lyrics' must be a string")
    return CatalogueSong(str(row["id"]), str(row["title"]), str(row["artist"]), row["lyrics"] or "")


def find_photos(folder: Path) -> dict[str, Path]:
    """Return the photos of a folder by stem, in order of name. Raises InputError, also for two files of one stem."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    photos: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PHOTO_SUFFIXES or not path.is_file():
            continue
        if path.stem in photos:
            raise InputError(
                f"{photos[path.stem].name} and {path.name} in {folder} have the same name without extension"
            )
        photos[path.stem] = path
    if not photos:
        raise InputError(f"{folder} has no photo ({', '.join(sorted(PHOTO_SUFFIXES))})")
    return photos


def rank_by_relevance(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    """Encode all songs; return the function from a photo to the relevance of each song, (N,).

    Songs without lyrics, or with lyrics in an unsupported language, score minus infinity.
    """
    encoded: list[EncodedLyric | Refusal] = []
    for start in range(0, len(songs), ENCODE_AT_ONCE):
        encoded += model.encode([song.lyrics for song in songs[start : start + ENCODE_AT_ONCE]])
    ranked = [song for song in encoded if isinstance(song, EncodedLyric)]
    has_rank = np.array([isinstance(song, EncodedLyric) for song in encoded])

    def score(view: PhotoView) -> Scores:
        scores = np.full(len(songs), -np.inf, np.float32)
        scores[has_rank] = model.relevance(view.embedding, ranked)
        return scores

    return score


class TwoStage:
    """The two stages of the workers in memory: stage one finds candidates, stage two ranks them."""

    def __init__(self, model: Image2Song, songs: Sequence[EncodedLyric]) -> None:
        self.model = model
        self.songs = songs
        none = np.zeros((0, model.dim + 1), np.float32)
        self.stage_one = (
            np.stack([song.stage_one for song in songs]).astype(np.float32) if songs else none
        )  # (N, D + 1)

    def __call__(self, view: PhotoView, candidates: int) -> tuple[list[int], Scores]:
        """Return rows and relevances, (C,), of the C <= ``candidates`` songs with the highest <v', l0>.

        The highest relevance comes first; the lower row wins a tie.
        """
        estimates = self.stage_one @ self.model.query(view.embedding)  # (N,)
        near = np.sort(np.argsort(-estimates, kind="stable")[:candidates])
        scores = self.model.relevance(view.embedding, [self.songs[row] for row in near])
        order = np.argsort(-scores, kind="stable")
        return near[order].tolist(), scores[order]


def rank_folder(
    model: Image2Song, photos: dict[str, Path], songs: Sequence[CatalogueSong], ranker: Ranker
) -> Iterator[dict[str, object]]:
    """Yield one line per readable photo, best song first, ties by id; name unreadable photos on stderr."""
    score = ranker(model, songs)
    for stem, path in photos.items():
        try:
            photo = load_photo(path)
        except (PhotoError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        # One photo per pass: sums in a larger batch may round differently.
        scores = score(model.analyse([photo])[0])
        order = sorted(range(len(songs)), key=lambda row: (-scores[row], songs[row].id))
        yield {"photo": stem, "songs": [songs[row].id for row in order]}


def write_ranking(photos: Path, songs: Path, out: Path, model: Image2Song, ranker: Ranker = rank_by_relevance) -> int:
    """Rank a catalogue for every photo of a folder; return the number of unreadable photos. Raises InputError."""
    paths = find_photos(photos)
    catalogue = read_catalogue(songs)
    ranked = 0
    try:
        with out.open("w", encoding="utf-8", errors="backslashreplace") as file:  # lone surrogates as JSON escapes
            for line in rank_folder(model, paths, catalogue, ranker):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                ranked += 1
    except OSError as error:
        raise InputError(f"{out}: {error}") from error
    return len(paths) - ranked
