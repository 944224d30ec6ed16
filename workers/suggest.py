"""From what the model saw to the list that is shown: candidates, how well each fits, which are chosen, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.db.models import Q

from recommender.choose import choose, explore
from recommender.model import Explanation, Image2Song, PhotoView
from socialsongs.conf import config
from socialsongs.lrc import start_of
from socialsongs.models import ModelRelease, RecommendationRequest, Song, SongEmbedding, Suggestion
from socialsongs.selectors.nearest import nearest_songs, song_filters
from socialsongs.selectors.rules import editorial_songs, popular_songs

from .candidates import Candidates, read_candidates
from .figures import FIGURES
from .rules import Rules
from .taste import liking

SHOWN = (
    "title",
    "artist",
    "genre",
    "lyrics",
    "synced_lyrics",
    "preview_file",
    "preview_url",
    "preview_start_ms",
    "preview_length_ms",
)
EXPLORED = 100  # songs after those that are shown, one of which may be tried out

Origin = Suggestion.Origin


@dataclass(frozen=True)
class Ask:
    """What songs are asked for: photos or a text as the model sees them, and what the request says beside them.

    ``user``: whose taste may count. ``seed``: what is drawn by lot is the same for the same seed.
    """

    views: Sequence[PhotoView]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user: Any = None
    seed: str = ""

    @classmethod
    def of(cls, request: RecommendationRequest, views: Sequence[PhotoView]) -> Ask:
        owner = request.post.owner_id if request.post else None
        return cls(views, request.parameters, owner, str(request.pk))

    @property
    def limit(self) -> int:
        asked: int = self.parameters.get("limit", config().SUGGESTIONS)
        return asked

    @property
    def tags(self) -> set[str]:
        return {tag.name.casefold() for view in self.views for tag in view.tags}

    @property
    def together(self) -> PhotoView:
        """Several photos as one, as surely seen as the surest of them."""
        surest = max(self.views, key=lambda view: view.certainty)
        return replace(surest, embedding=np.mean([view.embedding for view in self.views], axis=0))


class Found(NamedTuple):
    """The songs for one request, best first, not yet saved; ``confident``: does one fit clearly? ``notice``: a code
    that says why there are few, or none."""

    suggestions: list[Suggestion]
    confident: bool
    notice: str = ""


@dataclass(frozen=True)
class Pick:
    """A song of the list, how it came there, and with which probability."""

    song: UUID
    origin: Origin
    propensity: float = 1.0


def find_songs(model: Image2Song, release: ModelRelease, ask: Ask) -> Found:
    """Suggestions for one or more photos; several photos count by the mean of their relevances."""
    if not ask.views:
        return Found([], False)
    allowed = song_filters(parameters=dict(ask.parameters))
    rules = Rules.for_request(tags=ask.tags, market=ask.parameters.get("market") or config().MARKET)
    if rules.blocks_all:
        return Found([], False, "blocked")
    condition = allowed & ~rules.blocked
    with FIGURES.stage("search"):
        pinned = _pinned(release, rules, condition)
        candidates = _candidates(model, release, ask, condition, pinned)
    with FIGURES.stage("rank"):
        each = np.array([model.relevance(view.embedding, candidates.lyrics) for view in ask.views])  # (views, songs)
        scores = each.mean(0)
        chosen = _choose(model, release, ask, candidates, rules, scores)
        likely = dict(zip(candidates.ids, model.confidence(ask.together, scores).tolist(), strict=True))
        confident = any(likely[pick.song] >= model.no_match for pick in chosen)
        if not confident:
            nearest = [Pick(pick.song, Origin.NEAREST) for pick in chosen]
            chosen = _offered(release, condition, Random(ask.seed)) + nearest
        picks = _without_repeats([*(Pick(song, Origin.PIN) for song in pinned), *chosen])[: ask.limit]
        rows = Song.objects.only(*SHOWN).in_bulk([pick.song for pick in picks])
        picks = [pick for pick in picks if pick.song in rows]  # the others were deleted in this moment
        told = _explain(model, ask, candidates, each, picks)
        suggestions = [
            _suggestion(
                Suggestion(
                    song=rows[pick.song],
                    release=release,
                    rank=rank,
                    score=candidates.score(pick.song, scores),
                    confidence=likely.get(pick.song),
                    propensity=pick.propensity,
                    origin=pick.origin,
                    reasons=rules.reasons(pick.song, rows[pick.song].genre),
                ),
                told.get(pick.song),
            )
            for rank, pick in enumerate(picks, start=1)
        ]
    return Found(suggestions, confident, _notice(release, allowed, len(suggestions), ask.limit))


def _pinned(release: ModelRelease, rules: Rules, condition: Q) -> list[UUID]:
    """Pinned songs that the request allows, whether they have lyrics or not."""
    if not rules.pinned:
        return []
    rows = SongEmbedding.objects.filter(condition, release=release, song__in=rules.pinned)
    there = set(rows.values_list("song_id", flat=True))
    return [song for song in rules.pinned if song in there]


def _candidates(model: Image2Song, release: ModelRelease, ask: Ask, condition: Q, pinned: Sequence[UUID]) -> Candidates:
    query = model.query(ask.together.embedding).tolist()
    limit = max(config().CANDIDATES, ask.limit)
    near = nearest_songs(release=release, embedding=query, condition=condition, limit=limit)
    if missing := set(pinned) - {one.song_id for one in near}:
        further = condition & Q(song_id__in=missing)
        near += nearest_songs(release=release, embedding=query, condition=further, limit=len(missing))
    return read_candidates(near)


def _choose(
    model: Image2Song, release: ModelRelease, ask: Ask, candidates: Candidates, rules: Rules, scores: np.ndarray
) -> list[Pick]:
    """By relevance first; popularity, taste and rules move a song by so many standard deviations."""
    if not candidates.ids:
        return []
    mean = model.network.song_mean.cpu().numpy()
    directions = candidates.directions(mean)
    utility = model.standing(ask.together.embedding, scores) + config().POPULARITY * candidates.popularity
    if ask.user is not None:
        utility += config().TASTE * liking(user=ask.user, release=release, songs=directions, mean=mean)
    utility += [rules.raised(song, genre) for song, genre in zip(candidates.ids, candidates.genres, strict=True)]
    per_artist = config().SONGS_PER_ARTIST
    chosen = choose(
        utility,
        directions,
        candidates.artists,
        limit=ask.limit,
        strength=config().DIVERSITY,
        per_artist=per_artist,
    )
    listed, propensities, tried = explore(
        chosen, _rest(candidates, utility, chosen), share=config().EXPLORATION, rng=Random(ask.seed)
    )
    return [
        Pick(candidates.ids[row], Origin.EXPLORATION if place == tried else Origin.MATCH, propensity)
        for place, (row, propensity) in enumerate(zip(listed, propensities, strict=True))
    ]


def _rest(candidates: Candidates, utility: np.ndarray, chosen: Sequence[int]) -> list[int]:
    """The next songs after those that were chosen, by other artists."""
    artists = {candidates.artists[row] for row in chosen} - {""}
    taken = set(chosen)
    order = np.argsort(-utility, kind="stable").tolist()
    return [row for row in order if row not in taken and candidates.artists[row] not in artists][:EXPLORED]


def _offered(release: ModelRelease, condition: Q, lot: Random) -> list[Pick]:
    """When nothing fits: what staff would offer to any photo, then what is popular; not the same to everybody."""
    found = []
    for origin, songs in (
        (Origin.EDITORIAL, editorial_songs(release=release, condition=condition)),
        (Origin.POPULAR, popular_songs(release=release, condition=condition)),
    ):
        lot.shuffle(songs)
        found += [Pick(song, origin) for song in songs]
    return found


def _without_repeats(picks: Sequence[Pick]) -> list[Pick]:
    first: dict[UUID, Pick] = {}
    for pick in picks:
        first.setdefault(pick.song, pick)
    return list(first.values())


def _explain(
    model: Image2Song, ask: Ask, candidates: Candidates, each: np.ndarray, picks: Sequence[Pick]
) -> dict[UUID, Explanation]:
    """Line and reasons of the songs that were chosen for their words, by the photo that fits each best."""
    rows = [
        candidates.rows[pick.song]
        for pick in picks
        if pick.song in candidates.rows and pick.origin not in (Origin.EDITORIAL, Origin.POPULAR)
    ]
    photos = each[:, rows].argmax(0)
    told: dict[UUID, Explanation] = {}
    for photo in set(photos.tolist()):
        view, mine = ask.views[photo], [row for row, by in zip(rows, photos, strict=True) if by == photo]
        explained = model.explain(view.tags, view.embedding, [candidates.lyrics[row] for row in mine])
        told |= {candidates.ids[row]: one for row, one in zip(mine, explained, strict=True)}
    return told


def _suggestion(suggestion: Suggestion, explanation: Explanation | None) -> Suggestion:
    if explanation is None:
        return suggestion
    song = suggestion.song
    lines = song.lyrics.split("\n")
    line = lines[explanation.line].strip() if explanation.line < len(lines) else ""
    earlier = sum(other.strip() == line for other in lines[: explanation.line])
    suggestion.reasons += [asdict(reason) for reason in explanation.reasons]
    suggestion.line, suggestion.line_index = line[:500], explanation.line
    suggestion.clip_start_ms = _clip_start(song, line, earlier)
    return suggestion


def _clip_start(song: Song, line: str, earlier: int) -> int | None:
    """Where the line is sung; the beginning of the preview, if there is one and the line is not in it."""
    sung = start_of(song.synced_lyrics, line, earlier) if song.synced_lyrics else None
    if sung is None or not song.has_preview:
        return sung
    begin = song.preview_start_ms
    return sung if begin <= sung < begin + song.preview_length_ms else begin


def _notice(release: ModelRelease, allowed: Q, found: int, limit: int) -> str:
    if found >= limit:
        return ""
    if found:
        return "fewer_songs"
    there = SongEmbedding.objects.filter(allowed, release=release, stage_one__isnull=False).exists()
    return "blocked" if there else "no_songs"


def save_suggestions(found: dict[UUID, Found]) -> None:
    """Replace the suggestions of requests, by their ids; inside the transaction that finishes the requests."""
    Suggestion.objects.filter(request__in=list(found)).delete()
    for request, one in found.items():
        for suggestion in one.suggestions:
            suggestion.request_id = request
    Suggestion.objects.bulk_create([suggestion for one in found.values() for suggestion in one.suggestions])
