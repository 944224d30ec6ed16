"""Rank a judged catalogue for judged photos and say how good the order is: the model beside its baselines.

photos.jsonl, songs.jsonl   {"id", "main": [..], "side": [..], "mood": [..]}; songs also title, artist, lyrics.
A photo without a song that shares a main label cannot be answered and does not count; nor does "keep": false.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..images import PhotoError, load_photo
from ..model import Image2Song, PhotoView
from ..rank import CatalogueSong, InputError, Ranker, Scores, find_photos, rank_by_relevance, read_catalogue
from .bm25 import rank_by_tags
from .metrics import RELEVANT, Array, Figures, Labels, graded_figures, grades, interval


def rank_by_stage_one(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    """The inner product that the database finds the candidates by."""
    encoded = model.encode([song.lyrics for song in songs])

    def score(view: PhotoView) -> Scores:
        query = model.query(view.embedding)
        return np.array([-np.inf if song is None else song.stage_one @ query for song in encoded], np.float32)

    return score


def rank_at_random(model: Image2Song, songs: Sequence[CatalogueSong]) -> Callable[[PhotoView], Scores]:
    rng = np.random.default_rng(0)
    return lambda view: rng.random(len(songs), np.float32)


RANKERS: dict[str, Ranker] = {
    "model": rank_by_relevance,
    "stage one alone": rank_by_stage_one,
    "BM25, tags as query": rank_by_tags,
    "random": rank_at_random,
}


def evaluate(model: Image2Song, *, photos: Path, labels: Path, songs: Path) -> dict[str, dict[str, Any]]:
    """Figures of each ranker by name, with 95 % intervals, and the model's lead over it. Raises InputError."""
    catalogue = read_catalogue(songs)
    song_labels = _read_labels(songs)
    photo_labels = _read_labels(labels)
    truth = grades(photo_labels, song_labels)
    answerable = truth.max(1) >= RELEVANT
    asked = [label for label, keep in zip(photo_labels, answerable, strict=True) if keep]
    truth = truth[answerable]
    if not asked:
        raise InputError(f"{labels}: no photo shares a main label with a song of {songs}")
    views = _look(model, [label.id for label in asked], photos)
    scores = {}
    for name, ranker in RANKERS.items():
        score = ranker(model, catalogue)
        scores[name] = np.stack([score(view) for view in views]).astype(np.float64)
    return {name: _figures(found, scores["model"], truth) for name, found in scores.items()}


def _read_labels(path: Path) -> list[Labels]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if row.get("keep", True):
                parts = (frozenset(row.get(key, ())) for key in ("main", "side", "mood"))
                found.append(Labels(str(row["id"]), *parts))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number}: no labels ({error!r})") from error
    return found


def _look(model: Image2Song, ids: Sequence[str], folder: Path) -> list[PhotoView]:
    files = find_photos(folder)
    if missing := [name for name in ids if name not in files]:
        raise InputError(f"{folder}: {len(missing)} labelled photos are not there, such as {missing[0]}")
    try:
        return [model.analyse([load_photo(files[name])])[0] for name in ids]
    except PhotoError as error:
        raise InputError(f"{folder}: {error}") from error


def _figures(scores: Array, reference: Array, truth: Array) -> dict[str, Any]:
    found, best = graded_figures(scores, truth), graded_figures(reference, truth)

    def ndcg(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
        return float(np.mean(_resampled(scores, truth, rows, columns).ndcg))

    def lead(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
        ours = _resampled(reference, truth, rows, columns).ndcg
        return float(np.mean(ours - _resampled(scores, truth, rows, columns).ndcg))

    size = truth.shape
    return {
        "nDCG@10": round(float(found.ndcg.mean()), 4),
        "interval": [round(end, 4) for end in interval(ndcg, *size)],
        "P@5": round(float(found.precision.mean()), 4),
        "MRR": round(float(found.reciprocal.mean()), 4),
        "Med r": float(np.median(found.rank)),
        "first songs": len(set(scores.argmax(1).tolist())),
        "lead": round(float((best.ndcg - found.ndcg).mean()), 4),
        "lead interval": [round(end, 4) for end in interval(lead, *size)],
    }


def _resampled(scores: Array, truth: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Figures:
    chosen = np.ix_(rows, columns)
    return graded_figures(scores[chosen], truth[chosen])


def report(figures: dict[str, dict[str, Any]]) -> None:
    """A table, and the figures as one line of JSON."""
    table = Table("ranking", "nDCG@10", "95 %", "P@5", "MRR", "Med r", "first songs", "the model's lead")
    for name, found in figures.items():
        low, high = found["interval"]
        lead = "" if name == "model" else "{:+.3f} [{:+.3f} {:+.3f}]".format(found["lead"], *found["lead interval"])
        table.add_row(
            name, f"{found['nDCG@10']:.3f}", f"{low:.3f} {high:.3f}", f"{found['P@5']:.3f}", f"{found['MRR']:.3f}",
            f"{found['Med r']:.0f}", str(found["first songs"]), lead,
        )  # fmt: skip
    Console(file=sys.stdout).print(table)
    print(json.dumps(figures))
