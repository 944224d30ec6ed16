"""Which songs make up the list, in which order, and with which probability each of them got there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from recommender.choose import artist_key, choose, explore
from recommender.model import Image2Song
from socialsongs.conf import config
from socialsongs.models import ModelRelease, SongEmbedding, Suggestion
from socialsongs.selectors.catalogue import Offered, editorial_songs, popular_songs

from .applied_rules import AppliedRules
from .candidates import Candidates
from .personal_taste import liking
from .query import SongQuery

Origin = Suggestion.Origin
NO_MATCH = (Origin.EDITORIAL, Origin.POPULAR)  # offered to any photo, not for their words
EXPLORED = 100  # songs after those that are shown, one of which may be tried out


@dataclass(frozen=True)
class Pick:
    """A song of the list, how it came there, and with which probability it got its place."""

    song: UUID
    origin: Origin
    propensity: float = 1.0
    artist: str = ""  # by ``artist_key``


@dataclass(frozen=True)
class Matching:
    """The songs that fit best, as they are chosen, and the list as it is shown when one of them fits clearly."""

    songs: list[UUID]
    explored: list[Pick]

    @property
    def nearest(self) -> list[Pick]:
        return [Pick(song, Origin.NEAREST) for song in self.songs]


def pinned(release: ModelRelease, condition: Q, rules: AppliedRules) -> list[Pick]:
    """Pinned songs that the request allows, whether they have words or not."""
    if not rules.pinned:
        return []
    rows = SongEmbedding.objects.filter(condition, release=release, song__in=rules.pinned)
    artists = dict(rows.values_list("song_id", "song__artist"))
    return [Pick(song, Origin.PIN, artist=artist_key(artists[song])) for song in rules.pinned if song in artists]


def matching(
    model: Image2Song,
    release: ModelRelease,
    ask: SongQuery,
    candidates: Candidates,
    scores: NDArray[np.float32],
    first: Sequence[Pick],
    rules: AppliedRules,
) -> Matching:
    """The places that ``first`` leaves: by relevance (N,), moved by popularity, taste, rules and what is there."""
    if not candidates.ids:
        return Matching([], [])
    directions = model.song_directions([song.stage_one for song in candidates.lyrics])
    raised = np.array([rules.raised(*one) for one in zip(candidates.ids, candidates.genres, strict=True)])
    utility = model.standing(ask.together.embedding, scores) + config().POPULARITY * candidates.popularity + raised
    if ask.user is not None and config().TASTE:
        utility += config().TASTE * liking(model, release, user=ask.user, songs=directions)
    above = [candidates.rows[pick.song] for pick in first if pick.song in candidates.rows]
    artists_above = [pick.artist for pick in first]
    chosen = choose(
        utility,
        directions,
        candidates.artists,
        limit=ask.limit - len(first),
        strength=config().DIVERSITY,
        per_artist=config().SONGS_PER_ARTIST,
        above=above,
        artists_above=artists_above,
    )
    taken, artists = {*above, *chosen}, {*artists_above, *(candidates.artists[row] for row in chosen)} - {""}
    rest = [
        row
        for row in np.argsort(-utility, kind="stable").tolist()
        if row not in taken and candidates.artists[row] not in artists and raised[row] >= 0
    ]
    listed, propensities, tried = explore(chosen, rest[:EXPLORED], share=config().EXPLORATION, rng=Random(ask.seed))
    return Matching(
        [candidates.ids[row] for row in chosen],
        [
            Pick(candidates.ids[row], Origin.EXPLORATION if place == tried else Origin.MATCH, propensity)
            for place, (row, propensity) in enumerate(zip(listed, propensities, strict=True))
        ],
    )


def offered(release: ModelRelease, condition: Q, rules: AppliedRules, seed: str) -> list[Pick]:
    """When nothing fits: what staff would offer to any photo, then what is popular; not in the same order to everybody.
    Rules and one song an artist hold here, too."""
    lot = Random(seed)
    return [
        *_by_lot(editorial_songs(release=release, condition=condition), Origin.EDITORIAL, rules, lot),
        *_by_lot(popular_songs(release=release, condition=condition), Origin.POPULAR, rules, lot),
    ]


def _by_lot(songs: Sequence[Offered], origin: Origin, rules: AppliedRules, lot: Random) -> list[Pick]:
    utility = np.array([rules.raised(one.song, one.genre) + lot.random() for one in songs])
    order = choose(
        utility,
        np.zeros((len(songs), 1), np.float32),
        [artist_key(one.artist) for one in songs],
        limit=len(songs),
        strength=0.0,
        per_artist=config().SONGS_PER_ARTIST,
    )
    return [Pick(songs[row].song, origin, 1 / len(songs)) for row in order]
