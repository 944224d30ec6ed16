"""The table of wishes (data/wishes.jsonl): what people type to steer a list, and which songs must rise or fall.

text         what is typed; with ``photo`` the name of a sample photo, or null for a text alone
rise, fall   songs of the sample catalogue, by attributes: their mean rank with the text must be better, or worse, than
             without. Of a text alone, "without" is the middle of the ranks. A song that is left out has the last rank.
kept         songs that are not left out
unused       the words that the answer must name
unchanged    the list is as without the text
explicit     whether the request allows explicit songs
needs        an extension of PostgreSQL without which the wish is not understood
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recommender.results import PhotoView
from socialsongs.models import Song
from socialsongs.services.catalogue import sync_embeddings
from workers.inference.loading import LoadedRelease
from workers.lanes.songs import encode_songs
from workers.suggesting.candidates import find_candidates
from workers.suggesting.query import SongQuery
from workers.suggesting.scores import score_candidates
from workers.suggesting.song_list import make_list
from workers.suggesting.steering import steered

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "socialsongs" / "sample" / "catalogue.jsonl"
WISHES = [json.loads(line) for line in (HERE / "data" / "wishes.jsonl").read_text().splitlines()]
SONGS = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
# All songs of the sample are English. What the table says of languages is about these, which are called otherwise.
LANGUAGES = {0: "es", 1: "fr", 2: "de"}
FIELDS = ("title", "artist", "genre", "moods", "explicit", "year", "lyrics", "popularity")


@dataclass
class Found:
    """A list, by the ids of the sample. ``ranks``: of all songs; the last one for those that are left out."""

    ranks: dict[str, int]
    left_out: set[str]
    unused: Sequence[str]


class Catalogue:
    """The sample catalogue, encoded in the database."""

    def __init__(self, loaded: LoadedRelease) -> None:
        self.loaded = loaded
        for number, row in enumerate(SONGS):
            row["language"] = LANGUAGES.get(number % 10, "en")
        Song.objects.bulk_create(
            Song(
                source="sample",
                source_id=row["id"],
                status="published",
                language=row["language"],
                **{name: row[name] for name in FIELDS},
            )
            for row in SONGS
        )
        sync_embeddings()
        while encode_songs(loaded, limit=400):
            pass
        self.ids = dict(Song.objects.values_list("pk", "source_id"))

    def ask(self, views: list[PhotoView], text: str, *, explicit: bool) -> Found:
        query = SongQuery(views, {"limit": len(SONGS), "explicit": explicit})
        if text:
            query = steered(self.loaded, query, text)
        rules = query.read_rules()
        scored = score_candidates(self.loaded, query, rules, find_candidates(self.loaded, query, rules))
        ranks = {self.ids[one.song]: rank for rank, one in enumerate(make_list(scored), start=1)}
        missing = {*self.ids.values()} - {*ranks}
        return Found(ranks | dict.fromkeys(missing, len(SONGS)), missing, query.wishes.unused)


def has(row: dict[str, Any], attribute: dict[str, list[Any]]) -> bool:
    ((name, values),) = attribute.items()
    match name:
        case "theme":
            return bool({*row["themes"], *row["side_themes"]} & {*values})
        case "mood":
            return bool({*row["moods"]} & {*values})
        case "word":
            return any(word in row["lyrics"].lower() for word in values)
        case "year":
            return values[0] <= row["year"] <= values[1]
        case _:
            return row[name] in values


def mean_rank(ranks: dict[str, int], attribute: dict[str, list[Any]]) -> float:
    return float(np.mean([ranks[row["id"]] for row in SONGS if has(row, attribute)]))


def failures(wish: dict[str, Any], plain: Found | None, found: Found) -> list[str]:
    """Return what is not as the table says; empty when all is. ``plain``: the list without the text."""
    wrong = []
    middle = (len(SONGS) + 1) / 2
    for direction, sign in (("rise", 1), ("fall", -1)):
        for attribute in wish.get(direction, ()):
            before = mean_rank(plain.ranks, attribute) if plain else middle
            after = mean_rank(found.ranks, attribute)
            if sign * (before - after) <= 0:
                wrong.append(f"{attribute} must {direction}: from {before:.0f} to {after:.0f}")
    for attribute in wish.get("kept", ()):
        kept = {row["id"] for row in SONGS if has(row, attribute)}
        if left_out := (found.left_out & kept) - (plain.left_out if plain else set()):
            wrong.append(f"{attribute} is left out: {len(left_out)} songs")
    if "unused" in wish and [*found.unused] != wish["unused"]:
        wrong.append(f"unused: {found.unused}")
    if wish.get("unchanged") and plain and found.ranks != plain.ranks:
        wrong.append("the list has changed")
    return wrong
