"""From what the model saw to the list that is shown: candidates, how well each fits, which are picked, and why."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple
from uuid import UUID

import numpy as np
from django.db.models import Q

from recommender.model import Image2Song
from recommender.results import Explanation
from socialsongs.conf import config
from socialsongs.lrc import has_stamps, start_of
from socialsongs.models import ModelRelease, Song, SongEmbedding, Suggestion
from socialsongs.selectors.nearest import nearest_songs
from socialsongs.selectors.posts import LONGEST_LINE
from socialsongs.sung import key, words

from ..figures import FIGURES
from ..inference.loading import LoadedRelease
from .applied_rules import AppliedRules
from .candidates import Candidates, read_candidates
from .query import SongQuery
from .song_list import NO_MATCH, Pick, matching, offered, pinned

SHOWN = ("title", "artist", "genre", "lyrics", "lyrics_digest", "synced_lyrics", "preview_file", "preview_url",
         "preview_start_ms", "preview_length_ms")  # fmt: skip


class SuggestionList(NamedTuple):
    """The songs for one request, best first, not yet saved; ``confident``: does one fit clearly? ``notice``: a code
    that says why there are few, or none."""

    suggestions: list[Suggestion]
    confident: bool
    notice: str = ""


def suggest_songs(loaded: LoadedRelease, ask: SongQuery) -> SuggestionList:
    """Suggestions for one or more photos; several photos count by the mean of their relevances."""
    model, release = loaded.model, loaded.release
    allowed, rules, together = ask.allowed, ask.rules, ask.together
    if rules.blocks_all:
        return SuggestionList([], False, "blocked")
    condition = allowed & ~rules.blocked
    with FIGURES.stage("search"):
        candidates = _candidates(model, release, ask, condition, rules)
    with FIGURES.stage("rank"):
        each = np.array([model.relevance(view.embedding, candidates.lyrics) for view in ask.views])  # (views, songs)
        scores = each.mean(0)
        likely = dict(zip(candidates.ids, model.confidence(together, scores).tolist(), strict=True))
        first = pinned(release, condition, rules)
        best = matching(model, release, ask, candidates, scores, first, rules)
        confident = any(one >= model.no_match for one in likely.values())  # before anything moves or pins a song
        if confident:
            further = best.explored
        elif ask.worded:  # what is popular would not answer the words
            further = best.nearest + offered(release, condition, rules, ask.seed)
        else:
            further = offered(release, condition, rules, ask.seed) + best.nearest
        picks = _without_repeats([*first, *further])[: ask.limit]
        rows = Song.objects.only(*SHOWN).in_bulk([pick.song for pick in picks])
        picks = [pick for pick in picks if pick.song in rows]  # the others were deleted in this moment
        told = _explain(model, ask, candidates, each, picks, rows)
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
    return SuggestionList(suggestions, confident, _notice(release, allowed, len(suggestions), ask.limit))


def _candidates(
    model: Image2Song, release: ModelRelease, ask: SongQuery, condition: Q, rules: AppliedRules
) -> Candidates:
    """The nearest songs, and those that staff named to come first or higher."""
    query = model.query(ask.together.embedding).tolist()
    limit = max(config().CANDIDATES, ask.limit)
    of_genre = ask.asked["genre"] is not None
    near = nearest_songs(release=release, embedding=query, condition=condition, limit=limit, of_genre=of_genre)
    named = {*rules.pinned, *rules.boosted}
    if named and (missing := named - {one.song_id for one in near}):
        others = condition & Q(song_id__in=missing)
        near += nearest_songs(release=release, embedding=query, condition=others, limit=len(missing))
    return read_candidates(near)


def _without_repeats(picks: Sequence[Pick]) -> list[Pick]:
    first: dict[UUID, Pick] = {}
    for pick in picks:
        first.setdefault(pick.song, pick)
    return list(first.values())


def _explain(
    model: Image2Song,
    ask: SongQuery,
    candidates: Candidates,
    each: np.ndarray,
    picks: Sequence[Pick],
    songs: Mapping[UUID, Song],
) -> dict[UUID, Explanation]:
    """Line and reasons of the songs that were picked for their words, by the photo that fits each best."""
    rows = [
        candidates.rows[pick.song] for pick in picks if pick.song in candidates.rows and pick.origin not in NO_MATCH
    ]
    photos = each[:, rows].argmax(0)
    told: dict[UUID, Explanation] = {}
    for photo in set(photos.tolist()):
        view, mine = ask.views[photo], [row for row, by in zip(rows, photos, strict=True) if by == photo]
        lyrics = [candidates.lyrics[row] for row in mine]
        shown = [_sung_lines(songs[candidates.ids[row]], candidates.digests[row]) for row in mine]
        explanations = model.explain(view.tags, view.embedding, lyrics, shown)
        told |= {candidates.ids[row]: one for row, one in zip(mine, explanations, strict=True)}
    return told


def _sung_lines(song: Song, encoded_digest: str) -> Container[int]:
    """Places of the lines that may be shown; none while the lyrics are others than those that were encoded."""
    if song.lyrics_digest != encoded_digest:
        return ()
    return {place for place, line in enumerate(song.lyrics.split("\n")) if words(line)}


def _suggestion(suggestion: Suggestion, explanation: Explanation | None) -> Suggestion:
    if explanation is None:
        return suggestion
    suggestion.reasons += [asdict(reason) for reason in explanation.reasons]
    if explanation.line is None:
        return suggestion
    lines = [words(line) for line in suggestion.song.lyrics.split("\n")]
    suggestion.line, suggestion.line_index = lines[explanation.line][:LONGEST_LINE], explanation.line
    suggestion.clip_start_ms = _clip_start(suggestion.song, lines, explanation.line)
    return suggestion


def _clip_start(song: Song, lines: Sequence[str], place: int) -> int | None:
    """Where the line at a place is sung; the beginning of the preview, if there is one and the line is not in it."""
    synced = song.synced_lyrics or song.lyrics
    if not has_stamps(synced):
        return None
    wanted = key(lines[place])
    start = start_of(synced, lines[place], sum(key(line) == wanted for line in lines[:place]))
    if start is None or not song.has_preview:
        return start
    begin = song.preview_start_ms
    return start if begin <= start < begin + song.preview_length_ms else begin


def _notice(release: ModelRelease, allowed: Q, found: int, limit: int) -> str:
    if found >= limit:
        return ""
    if found:
        return "fewer_songs"
    there = SongEmbedding.objects.filter(allowed, release=release, stage_one__isnull=False).exists()
    return "blocked" if there else "no_songs"


def save_suggestions(found: dict[UUID, SuggestionList]) -> None:
    """Replace the suggestions of requests, by their ids; inside the transaction that finishes the requests."""
    Suggestion.objects.filter(request__in=list(found)).delete()
    for request, one in found.items():
        for suggestion in one.suggestions:
            suggestion.request_id = request
    Suggestion.objects.bulk_create([suggestion for one in found.values() for suggestion in one.suggestions])
