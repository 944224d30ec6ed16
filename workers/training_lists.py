"""Choices of this installation as the learner wants them: photos as the tagger sees them, lyrics, lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import torch

from recommender.evaluate.click_model import fit_examination
from recommender.evaluate.judged import TaggerOutput
from recommender.images import PhotoError
from recommender.lyrics import parse_lyric
from recommender.model import Image2Song
from recommender.train.from_choices import ChoiceExamples, ShownList, click_log, encode_songs
from socialsongs.models import PhotoSubject, PostPhoto, Song
from socialsongs.selectors.shown_lists import Shown

from .inference.photo_loading import decode

PHOTOS_AT_ONCE = 32


@dataclass(frozen=True)
class Gathered:
    """``subjects``, ``lyrics``: what the rows of the lessons stand for. ``unusable``: lists that were left out, since a
    photo cannot be read any more or the chosen song has no lyrics that the model reads."""

    examples: ChoiceExamples
    subjects: list[PhotoSubject]
    lyrics: list[str]
    unusable: int


def gather(model: Image2Song, lists: Sequence[Shown]) -> Gathered:
    """Look at the photos again, since learning needs more of them than is stored. Raises Outage."""
    by_post = _subjects({shown.post for shown in lists})
    subjects, inputs = _look(model, [subject for own in by_post.values() for subject in own])
    wanted = {song for shown in lists for song in shown.songs}
    texts = dict(Song.objects.filter(pk__in=wanted).values_list("pk", "lyrics"))
    songs = {pk: row for row, pk in enumerate(pk for pk, text in texts.items() if model.refusal(text) is None)}
    photos = {subject.pk: row for row, subject in enumerate(subjects)}
    usable = [
        found
        for shown in lists
        if (found := _as_rows(shown, [photos.get(subject.pk) for subject in by_post.get(shown.post, [])], songs))
    ]
    lyrics = [texts[pk] for pk in songs]
    read = encode_songs(model.network, [parse_lyric(text) for text in lyrics])
    return Gathered(ChoiceExamples(usable, inputs, read), subjects, lyrics, len(lists) - len(usable))


def _as_rows(shown: Shown, photos: Sequence[int | None], songs: dict[UUID, int]) -> ShownList | None:
    known = [song for song in shown.songs if song in songs]
    if not photos or None in photos or not known or (shown.chosen is not None and shown.chosen not in known):
        return None
    return ShownList(
        photos=[row for row in photos if row is not None],
        songs=[songs[song] for song in known],
        ranks=[shown.songs[song].rank for song in known],
        scores=[shown.songs[song].score for song in known],
        chosen=known.index(shown.chosen) if shown.chosen else None,
    )


def _subjects(posts: Iterable[UUID]) -> dict[UUID, list[PhotoSubject]]:
    """The photos of each post, in order."""
    found: dict[UUID, list[PhotoSubject]] = {}
    photos = PostPhoto.objects.filter(post__in=posts).order_by("post", "position")
    for photo in photos.prefetch_related("subjects__photo"):
        found.setdefault(photo.post_id, []).extend(photo.subjects.all())
    return found


@torch.no_grad()
def _look(model: Image2Song, subjects: Sequence[PhotoSubject]) -> tuple[list[PhotoSubject], TaggerOutput]:
    """The photos that can be read, and what the tagger sees in each."""
    found: list[PhotoSubject] = []
    tagger = model.network.tagger
    logits, features = [torch.zeros(0, len(model.tags))], [torch.zeros(0, tagger.classifier.in_channels)]
    for start in range(0, len(subjects), PHOTOS_AT_ONCE):
        decoding = [(subject, decode(model, subject)) for subject in subjects[start : start + PHOTOS_AT_ONCE]]
        pixels = []
        for subject, waiting in decoding:
            try:
                pixels.append(waiting.result())
            except (FileNotFoundError, PhotoError):
                continue
            found.append(subject)
        if pixels:
            seen = tagger(torch.stack(pixels).to(model.device))
            logits.append(seen.logits.cpu())
            features.append(seen.features.cpu())
    return found, TaggerOutput(torch.cat(logits).to(model.device), torch.cat(features).to(model.device))


def write_pairs(gathered: Gathered, path: Path) -> int:
    """The chosen songs as pairs, for ``python -m recommender train matcher --pairs``, with a copy of each photo in a
    folder beside the file; returns how many. ``weight`` corrects for the place, and is shared by a post's photos.
    """
    examples = gathered.examples
    examination = fit_examination(click_log(examples.lists))
    folder = path.with_name(f"{path.stem}-photos")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for shown in examples.lists:
        if shown.chosen is None:
            continue
        (weight,) = examination.weights(np.array([shown.ranks[shown.chosen]]), most=np.inf) / len(shown.photos)
        for photo in shown.photos:
            subject = gathered.subjects[photo]
            image = folder / f"{subject.pk}.jpg"
            with subject.open() as file:
                image.write_bytes(file.read())
            lyrics = gathered.lyrics[shown.songs[shown.chosen]]
            rows.append({"image": f"{folder.name}/{image.name}", "lyrics": lyrics, "weight": round(float(weight), 4)})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return len(rows)
