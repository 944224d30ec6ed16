"""The lists and choices of this site as training examples: with tagger outputs of the photos, and encoded lyrics."""

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
from socialsongs.selectors.photo_rows import photo_rows
from socialsongs.selectors.shown_lists import ShownSuggestions

from .inference.photo_loading import decode

PHOTOS_AT_ONCE = 32


@dataclass(frozen=True)
class Gathered:
    """Training examples, and what their rows stand for.

    subjects    of the photo rows
    lyrics      of the song rows
    unusable    number of lists left out: a photo cannot be read any more, or the model refuses the chosen song's lyrics
    """

    examples: ChoiceExamples
    subjects: list[PhotoSubject]
    lyrics: list[str]
    unusable: int


def gather(model: Image2Song, lists: Sequence[ShownSuggestions]) -> Gathered:
    """Make training examples from shown lists. Analyses the photos again: training needs more than what is stored.

    Raises Outage when the storage fails.
    """
    by_post = _subjects_by_post({shown.post for shown in lists})
    subjects, outputs = _analyse(model, [subject for subjects in by_post.values() for subject in subjects])
    shown_songs = {song for shown in lists for song in shown.songs}
    all_lyrics = dict(Song.objects.filter(pk__in=shown_songs).values_list("pk", "lyrics"))
    songs = {pk: row for row, pk in enumerate(pk for pk, text in all_lyrics.items() if model.refusal(text) is None)}
    photos = {subject.pk: row for row, subject in enumerate(subjects)}
    usable = [
        example
        for shown in lists
        if (example := _example(shown, [photos.get(subject.pk) for subject in by_post.get(shown.post, [])], songs))
    ]
    lyrics = [all_lyrics[pk] for pk in songs]
    encoded = encode_songs(model.network, [parse_lyric(text) for text in lyrics])
    return Gathered(ChoiceExamples(usable, outputs, encoded), subjects, lyrics, len(lists) - len(usable))


def _example(shown: ShownSuggestions, photos: Sequence[int | None], songs: dict[UUID, int]) -> ShownList | None:
    """Return a list in terms of rows, without the songs that have none; None when it is unusable."""
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


def _subjects_by_post(posts: Iterable[UUID]) -> dict[UUID, list[PhotoSubject]]:
    """Return the photos of each post, in order."""
    subjects: dict[UUID, list[PhotoSubject]] = {}
    photos = PostPhoto.objects.filter(post__in=posts).order_by("post", "position").select_related("post__subject")
    for photo in photos.prefetch_related(photo_rows("subjects__photo")):
        subjects.setdefault(photo.post_id, []).extend(photo.photo_subjects)
    return subjects


@torch.no_grad()
def _analyse(model: Image2Song, subjects: Sequence[PhotoSubject]) -> tuple[list[PhotoSubject], TaggerOutput]:
    """Return the subjects whose photos can be read, and the outputs of the tagger, one row for each."""
    analysed: list[PhotoSubject] = []
    tagger = model.network.tagger
    logits, features = [torch.zeros(0, len(model.tags))], [torch.zeros(0, tagger.classifier.in_channels)]
    for start in range(0, len(subjects), PHOTOS_AT_ONCE):
        decoding = [(subject, decode(model, subject)) for subject in subjects[start : start + PHOTOS_AT_ONCE]]
        pixels = []
        for subject, future in decoding:
            try:
                pixels.append(future.result())
            except (FileNotFoundError, PhotoError):
                continue
            analysed.append(subject)
        if pixels:
            output = tagger(torch.stack(pixels).to(model.device))
            logits.append(output.logits.cpu())
            features.append(output.features.cpu())
    return analysed, TaggerOutput(torch.cat(logits).to(model.device), torch.cat(features).to(model.device))


def write_pairs(gathered: Gathered, path: Path) -> int:
    """Write the chosen songs as pairs for ``python -m recommender train matcher --pairs``; return how many.

    Copies each photo to a folder beside the file. ``weight`` of a pair corrects for the rank at which the song was
    chosen, divided by the number of photos of the post.
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
