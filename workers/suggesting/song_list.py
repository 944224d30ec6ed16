"""Which songs make up a list, in which order, and with which probability each of them got its position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from recommender.choose import artist_key, choose, explore
from socialsongs.conf import config
from socialsongs.models import SongEmbedding, Suggestion
from socialsongs.selectors.catalogue import FallbackSong, editorial_songs, popular_songs

from .applied_rules import AppliedRules
from .candidates import allowed_rows
from .personal_taste import taste_scores
from .scores import ScoredCandidates

Origin = Suggestion.Origin
FALLBACK = (Origin.EDITORIAL, Origin.POPULAR)  # origins of songs that are offered whatever their lyrics
EXPLORED = 100  # the best songs after those of the list, one of which exploration may show


@dataclass(frozen=True)
class ListedSong:
    """``propensity``: the probability with which the song got its position."""

    song: UUID
    origin: Origin
    propensity: float = 1.0
    artist: str = ""  # by ``artist_key``; of pins only


def make_list(scored: ScoredCandidates) -> list[ListedSong]:
    """Choose the songs of the list, in order: pins, then those that fit.

    When no candidate fits clearly, editorial and popular songs come before the nearest ones, or after them when the
    request has a text, which popular songs do not answer.
    """
    pins = pinned_songs(scored)
    matches = matching_songs(scored, pins)
    if scored.confident:
        songs = [*pins, *matches]
    elif scored.query.has_text and not scored.query.text_is_unused:
        songs = [*pins, *matches, *fallback_songs(scored)]
    else:
        songs = [*pins, *fallback_songs(scored), *matches]
    return _without_repeats(songs)[: scored.query.limit]


def pinned_songs(scored: ScoredCandidates) -> list[ListedSong]:
    """Return the pinned songs that the request allows, also those without lyrics."""
    pinned = scored.rules.pinned_songs
    if not pinned:
        return []
    condition = allowed_rows(scored.query, scored.rules)
    rows = SongEmbedding.objects.filter(condition, release=scored.loaded.release, song__in=pinned)
    artists = dict(rows.values_list("song_id", "song__artist"))
    return [ListedSong(song, Origin.PIN, artist=artist_key(artists[song])) for song in pinned if song in artists]


def matching_songs(scored: ScoredCandidates, pins: Sequence[ListedSong]) -> list[ListedSong]:
    """Fill the positions that pins leave, by utility, diversity and artist; a confident list may explore in one."""
    candidates = scored.candidates
    if not candidates.ids:
        return []
    directions = scored.loaded.model.song_directions([lyric.stage_one for lyric in candidates.lyrics])
    adjustments = np.array(
        [scored.rules.adjustment(*song) for song in zip(candidates.ids, candidates.genres, strict=True)]
    )
    utility = _utility(scored, directions, adjustments)
    pinned_rows = [candidates.rows[pin.song] for pin in pins if pin.song in candidates.rows]
    pinned_artists = [pin.artist for pin in pins]
    # Songs without an artist are not limited; nor are those of an artist whom the text names.
    artists = [
        "" if wanted else artist for artist, wanted in zip(candidates.artists, scored.wishes.of_artist, strict=True)
    ]
    chosen = choose(
        utility,
        directions,
        artists,
        limit=scored.query.limit - len(pins),
        strength=config().DIVERSITY,
        per_artist=config().SONGS_PER_ARTIST,
        listed=pinned_rows,
        listed_artists=pinned_artists,
    )
    if not scored.confident:
        return [ListedSong(candidates.ids[row], Origin.NEAREST) for row in chosen]
    listed_rows = {*pinned_rows, *chosen}
    listed_artists = {*pinned_artists, *(candidates.artists[row] for row in chosen)} - {""}
    further = [
        row
        for row in np.argsort(-utility, kind="stable").tolist()
        if row not in listed_rows and candidates.artists[row] not in listed_artists and adjustments[row] >= 0
    ]
    rows, propensities, explored = explore(
        chosen, further[:EXPLORED], share=config().EXPLORATION, rng=Random(scored.query.seed)
    )
    return [
        ListedSong(candidates.ids[row], Origin.EXPLORATION if index == explored else Origin.MATCH, propensity)
        for index, (row, propensity) in enumerate(zip(rows, propensities, strict=True))
    ]


def _utility(
    scored: ScoredCandidates, directions: NDArray[np.float32], adjustments: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return standing plus popularity, rules, wishes and taste, in standard deviations, (N,)."""
    standing = scored.loaded.model.standing(scored.query.combined_view.embedding, scored.relevances)
    utility = standing + config().POPULARITY * scored.candidates.popularity + adjustments + scored.wishes.adjustments
    if scored.query.user is not None and config().TASTE:
        utility += config().TASTE * taste_scores(scored.loaded, user=scored.query.user, directions=directions)
    return utility


def fallback_songs(scored: ScoredCandidates) -> list[ListedSong]:
    """Return editorial songs, then popular ones, each in random order; rules and the limit per artist apply."""
    release, condition = scored.loaded.release, allowed_rows(scored.query, scored.rules)
    rng = Random(scored.query.seed)
    return [
        *_shuffled(editorial_songs(release=release, condition=condition), Origin.EDITORIAL, scored.rules, rng),
        *_shuffled(popular_songs(release=release, condition=condition), Origin.POPULAR, scored.rules, rng),
    ]


def _shuffled(songs: Sequence[FallbackSong], origin: Origin, rules: AppliedRules, rng: Random) -> list[ListedSong]:
    utility = np.array([rules.adjustment(song.song, song.genre) + rng.random() for song in songs])
    order = choose(
        utility,
        np.zeros((len(songs), 1), np.float32),
        [artist_key(song.artist) for song in songs],
        limit=len(songs),
        strength=0.0,
        per_artist=config().SONGS_PER_ARTIST,
    )
    # The propensity of the shuffle alone, without rules and the limit per artist.
    return [ListedSong(songs[row].song, origin, 1 / len(songs)) for row in order]


def _without_repeats(songs: Sequence[ListedSong]) -> list[ListedSong]:
    first: dict[UUID, ListedSong] = {}
    for listed in songs:
        first.setdefault(listed.song, listed)
    return list(first.values())
