"""A judged set: photos and songs with labels, and how well rankings follow them.

photos.jsonl, songs.jsonl   {"id", "main": [..], "side": [..], "mood": [..]}; songs also title, artist, lyrics.
A photo without a song that shares a main label cannot be answered and does not count; nor does a row
with "keep": false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..images import PhotoError, batch, load_photo
from ..inputs import InputError, json_rows
from ..lyrics import parse_lyric
from ..model import Image2Song
from ..rank import CatalogueSong, Ranker, find_photos, read_catalogue
from ..results import EncodedLyric, PhotoView, Tag
from .ranking_metrics import RELEVANT, Array, Labels, Resampling, graded_figures, grades

BASELINE_TAGS = 10


def _tag(model: Image2Song, tag: int, scores: np.ndarray) -> Tag:
    name, kind = model.tags[tag]
    return Tag(name, kind, float(scores[tag]), (0.0, 0.0, 1.0, 1.0))


@dataclass(frozen=True)
class TaggerOutput:
    """The tagger's output for P photos: tag logits (P, T) and pooled features (P, F)."""

    logits: Tensor
    features: Tensor

    @torch.inference_mode()
    def vectors(self, model: Image2Song) -> list[np.ndarray]:
        """Return v of each photo, (D,), by the model's photo encoder."""
        vectors = model.network.embed_photos(self.logits, self.features)
        return list(vectors.float().cpu().numpy())

    @torch.inference_mode()
    def views(self, model: Image2Song) -> list[PhotoView]:
        """Return each photo with its ten best tags, whatever their scores: the input of the baselines."""
        scores = model.network.tag_scores(self.logits, self.features).cpu().numpy()
        views = []
        for row, vector in zip(scores, self.vectors(model), strict=True):
            best = np.argsort(-row, kind="stable")[:BASELINE_TAGS]
            views.append(PhotoView([_tag(model, tag, row) for tag in best.tolist()], vector))
        return views


@torch.inference_mode()
def tag_photos(model: Image2Song, photos: Sequence[Image.Image]) -> TaggerOutput:
    """Run the tagger on one photo at a time: in a larger batch, sums may be rounded differently."""
    seen = [model.network.tagger(batch([photo], model.preprocessing).to(model.device)) for photo in photos]
    return TaggerOutput(torch.cat([part.logits for part in seen]), torch.cat([part.features for part in seen]))


@dataclass(frozen=True)
class JudgedSet:
    """``labels``: of each answerable photo. ``truth`` (P, S): the grade of each song for each photo, 0 to 5."""

    labels: list[Labels]
    tagger_output: TaggerOutput
    songs: list[CatalogueSong]
    truth: Array

    @property
    def ids(self) -> list[str]:
        return [label.id for label in self.labels]

    @cached_property
    def resampling(self) -> Resampling:
        return Resampling(*self.truth.shape)

    def scores(self, model: Image2Song, ranker: Ranker) -> Array:
        """Return the scores (P, S) of a ranking function."""
        score = ranker(model, self.songs)
        return np.stack([score(view) for view in self.tagger_output.views(model)]).astype(np.float64)

    def relevance(self, model: Image2Song) -> Array:
        """Return the model's relevances (P, S); songs that it refuses come last."""
        encoded = model.encode([song.lyrics for song in self.songs])
        filled = [song for song in encoded if isinstance(song, EncodedLyric)]
        readable = [isinstance(song, EncodedLyric) for song in encoded]
        scores = np.full(self.truth.shape, -np.inf)
        scores[:, readable] = [model.relevance(vector, filled) for vector in self.tagger_output.vectors(model)]
        return scores

    def popularity(self) -> Array:
        """Return each song's mean grade over the other photos, (P, S): an oracle that does not use the photo."""
        scores: Array = (self.truth.sum(0, keepdims=True) - self.truth) / max(1, len(self.truth) - 1)
        return scores

    def part(self, rows: Sequence[int]) -> JudgedSet:
        """Return the judged set of some of the photos."""
        chosen = list(rows)
        output = TaggerOutput(self.tagger_output.logits[chosen], self.tagger_output.features[chosen])
        return replace(
            self, labels=[self.labels[row] for row in chosen], tagger_output=output, truth=self.truth[chosen]
        )

    def sources(self) -> dict[str, list[int]]:
        """Return the rows by source, the part of an id before the first underscore; empty unless there are 2 to 5."""
        rows_by_source: dict[str, list[int]] = {}
        for row, name in enumerate(self.ids):
            source, underscore, _ = name.partition("_")
            rows_by_source.setdefault(source if underscore else "", []).append(row)
        return rows_by_source if 1 < len(rows_by_source) <= 5 else {}


def read_judged(model: Image2Song, *, photos: Path, labels: Path, songs: Path) -> JudgedSet:
    """Read a judged set and run the tagger on its photos. Raises InputError."""
    catalogue = read_catalogue(songs)
    song_labels = {label.id: label for label in _read_labels(songs)}
    catalogue = [song for song in catalogue if song.id in song_labels]
    photo_labels = _read_labels(labels)
    truth = grades(photo_labels, [song_labels[song.id] for song in catalogue])
    answerable = truth.max(1, initial=0) >= RELEVANT
    asked = [label for label, keep in zip(photo_labels, answerable, strict=True) if keep]
    if not asked:
        raise InputError(f"{labels}: no photo shares a main label with a song of {songs}")
    files = find_photos(photos)
    if missing := [label.id for label in asked if label.id not in files]:
        raise InputError(f"{photos}: {len(missing)} labelled photos are not there, such as {missing[0]}")
    try:
        output = tag_photos(model, [load_photo(files[label.id]) for label in asked])
    except PhotoError as error:
        raise InputError(f"{photos}: {error}") from error
    return JudgedSet(asked, output, catalogue, truth[answerable])


def _read_labels(path: Path) -> list[Labels]:
    rows = []
    for where, row in json_rows(path):
        if not isinstance(row, dict) or (row.get("keep", True) and "id" not in row):
            raise InputError(f"{where}: no labels; give an object with 'id', 'main', 'side', 'mood'")
        if row.get("keep", True):
            try:
                rows.append(Labels(str(row["id"]), *(frozenset(row.get(key, ())) for key in ("main", "side", "mood"))))
            except TypeError as error:
                raise InputError(f"{where}: 'main', 'side' and 'mood' must be lists of texts ({error})") from error
    return rows


def compare(scores: Mapping[str, Array], truth: Array, resampling: Resampling) -> dict[str, dict[str, Any]]:
    """Return figures of each ranking (P, S) with 95 % intervals, and how far the first ranking leads it."""
    reference = next(iter(scores))
    points = {name: graded_figures(relevances, truth) for name, relevances in scores.items()}
    draws = resampling.ndcg(scores, truth)
    result = {}
    for name, relevances in scores.items():
        point = points[name]
        lead = float(points[reference].ndcg.mean() - point.ndcg.mean())
        result[name] = {
            "nDCG@10": round(float(point.ndcg.mean()), 4),
            "interval": resampling.interval(draws[name], float(point.ndcg.mean())),
            "P@5": round(float(point.precision.mean()), 4),
            "MRR": round(float(point.reciprocal.mean()), 4),
            "Med r": float(np.median(point.rank)),
            "first songs": len(set(relevances.argmax(1).tolist())),
            "lead": round(lead, 4),
            "lead interval": resampling.interval(draws[reference] - draws[name], lead),
        }
    return result


def vocabulary_figures(model: Image2Song, songs: Sequence[CatalogueSong]) -> dict[str, float]:
    """Return the share of the songs' words outside the vocabulary; their vectors come from character n-grams."""
    words = [word for song in songs for line in parse_lyric(song.lyrics).lines for word in line]
    known = model.network.lyrics.words.index
    unknown = sum(word not in known for word in words)
    return {"words": len(words), "vocabulary": len(known), "unknown": round(unknown / max(1, len(words)), 4)}


def song2image(scores: Array) -> Array:
    """Return scores of photos for songs, (S, P): the relevances (P, S), each photo's mean subtracted."""
    finite = np.where(np.isfinite(scores), scores, np.nan)
    turned: Array = (scores - np.nanmean(finite, axis=1, keepdims=True)).T
    return turned


def songs_with_photos(truth: Array) -> list[int]:
    """Return the songs with a photo that shares a main label: those that song2image is measured on."""
    return [int(column) for column in np.flatnonzero(truth.max(0) >= RELEVANT)]
