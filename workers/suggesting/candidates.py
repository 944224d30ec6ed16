"""Stage one: the songs that are ranked for a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import attrgetter
from uuid import UUID

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from recommender.choose import artist_key
from recommender.results import EncodedLyric
from recommender.wishes import Sign
from socialsongs.conf import config
from socialsongs.selectors.nearest import NearSong, nearest_songs

from ..inference.loading import LoadedRelease
from .applied_rules import AppliedRules
from .query import SongQuery
from .song_cache import encoded_songs

WISHED = 100  # candidates more that a search for the wishes of a text adds


@dataclass(frozen=True)
class Candidates:
    """N songs, one for each row, with what ranking and choosing need."""

    ids: list[UUID]
    lyrics: list[EncodedLyric]
    digests: list[str]  # of the lyrics that were encoded
    artists: list[str]  # by ``artist_key``
    genres: list[str]
    popularity: NDArray[np.float32]  # (N,), 0 to 1

    @cached_property
    def rows(self) -> dict[UUID, int]:
        return {song: row for row, song in enumerate(self.ids)}


def allowed_rows(query: SongQuery, rules: AppliedRules) -> Q:
    """Return the condition on embedding rows that the request allows and no rule blocks."""
    return query.condition & ~rules.blocked


def find_candidates(loaded: LoadedRelease, query: SongQuery, rules: AppliedRules) -> Candidates:
    """Find the nearest songs, those that a text wishes for, and those that a rule pins or boosts by name."""
    condition = allowed_rows(query, rules)
    vector = loaded.model.query(query.combined_view.embedding).tolist()
    limit = max(config().CANDIDATES, query.limit)
    of_genre = query.all_parameters["genre"] is not None
    search = partial(nearest_songs, release=loaded.release, of_genre=of_genre)
    near = {song.pk: song for song in search(embedding=vector, condition=condition, limit=limit)}
    if query.wishes.preferred is not None:
        wished = condition & query.wishes.preferred
        near |= {song.pk: song for song in search(embedding=vector, condition=wished, limit=WISHED)}
    if away := _away_from_refused(loaded, query):
        near |= {song.pk: song for song in search(embedding=away, condition=condition, limit=WISHED)}
    named = {*rules.pinned_songs, *rules.boosted_songs} - {song.song_id for song in near.values()}
    if named:
        only_named = condition & Q(song_id__in=named)
        near |= {song.pk: song for song in search(embedding=vector, condition=only_named, limit=len(named))}
    return _read_candidates(list(near.values()))


def _away_from_refused(loaded: LoadedRelease, query: SongQuery) -> list[float]:
    """Return the vector of a search for songs that fit the photos and are not about refused words; empty without any.

    The songs nearest to a photo of a dog are about dogs; "no dogs" needs others among the candidates.
    """
    refused = query.wishes.words_with_sign(Sign.REFUSED)
    if not refused:
        return []
    model = loaded.model
    directions = [model.direction(model.view_text(wish.phrase).embedding) for wish in refused]
    away: list[float] = (model.direction(query.combined_view.embedding) - np.sum(directions, axis=0)).tolist()
    return away


def _read_candidates(near: Sequence[NearSong]) -> Candidates:
    encoded = encoded_songs(near)
    # By id, so that songs of equal score are ranked alike whatever order the index gave; integers compare faster.
    songs = sorted((song for song in near if song.pk in encoded), key=attrgetter("song_id.int"))
    return Candidates(
        [song.song_id for song in songs],
        [encoded[song.pk].lyric for song in songs],
        [encoded[song.pk].lyrics_digest for song in songs],
        [artist_key(song.artist) for song in songs],
        [song.genre for song in songs],
        np.array([song.popularity for song in songs], np.float32),
    )
