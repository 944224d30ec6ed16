"""From a query to its suggestions: candidates, scores, the list, explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple
from uuid import UUID

from recommender.results import Explanation
from socialsongs.models import ModelRelease, Song, SongEmbedding, State, Suggestion
from socialsongs.selectors.posts import LONGEST_LINE
from socialsongs.sung import sung_part

from ..figures import FIGURES
from ..inference.loading import LoadedRelease
from .candidates import find_candidates
from .explanations import clip_start, explain
from .query import SongQuery
from .scores import ScoredCandidates, score_candidates
from .song_list import ListedSong, make_list

SONG_FIELDS = ("title", "artist", "genre", "lyrics", "lyrics_digest", "synced_lyrics", "preview_file", "preview_url",
               "preview_start_ms", "preview_length_ms")  # fmt: skip


class SuggestionList(NamedTuple):
    """Suggestions for one request, in order, not yet saved.

    ``confident``: at least one song is likely enough to fit. ``notice``: a code that says why the list is short, or as
    without the text. ``unused``: words of the text that had no effect.
    """

    suggestions: list[Suggestion]
    confident: bool
    notice: str = ""
    unused: Sequence[str] = ()


def suggest_songs(loaded: LoadedRelease, query: SongQuery) -> SuggestionList:
    """Suggest songs for one or more photos, or for a text; several photos count by the mean of their relevances."""
    rules = query.read_rules()
    if rules.blocks_all:
        return SuggestionList([], False, "blocked", query.wishes.unused)
    with FIGURES.stage("search"):
        candidates = find_candidates(loaded, query, rules)
    with FIGURES.stage("rank"):
        scored = score_candidates(loaded, query, rules, candidates)
        suggestions = _suggestions(scored, make_list(scored))
    notice = _notice(loaded.release, query, len(suggestions))
    return SuggestionList(suggestions, scored.confident, notice, query.wishes.unused)


def _suggestions(scored: ScoredCandidates, listed: Sequence[ListedSong]) -> list[Suggestion]:
    songs = Song.objects.only(*SONG_FIELDS).in_bulk([song.song for song in listed])
    listed = [song for song in listed if song.song in songs]  # the others were deleted since the search
    explanations = explain(scored, listed, songs)
    return [
        _suggestion(scored, rank, song, songs[song.song], explanations.get(song.song))
        for rank, song in enumerate(listed, start=1)
    ]


def _suggestion(
    scored: ScoredCandidates, rank: int, listed: ListedSong, song: Song, explanation: Explanation | None
) -> Suggestion:
    suggestion = Suggestion(
        song=song,
        release=scored.loaded.release,
        rank=rank,
        score=scored.score(song.pk),
        confidence=scored.confidence(song.pk),
        propensity=listed.propensity,
        origin=listed.origin,
        reasons=[*scored.rules.reasons(song.pk, song.genre), *scored.wish_reasons(song)],
    )
    if explanation is not None:
        suggestion.reasons += [asdict(reason) for reason in explanation.reasons]
        if explanation.line is not None:
            lines = [sung_part(line) for line in song.lyrics.split("\n")]
            suggestion.line, suggestion.line_index = lines[explanation.line][:LONGEST_LINE], explanation.line
            suggestion.clip_start_ms = clip_start(song, lines, explanation.line)
    return suggestion


def _notice(release: ModelRelease, query: SongQuery, suggestions: int) -> str:
    if suggestions >= query.limit:
        return "text_unused" if query.text_is_unused else ""
    rows = SongEmbedding.objects.filter(query.condition, release=release)
    if rows.filter(state__in=(State.QUEUED, State.ANALYSING), stage_one=None).exists():
        return "not_encoded"
    if suggestions:
        return "fewer_songs"
    return "blocked" if rows.filter(stage_one__isnull=False).exists() else "no_songs"


def save_suggestions(lists: dict[UUID, SuggestionList]) -> None:
    """Replace the suggestions of requests, by their ids; inside the transaction that finishes the requests."""
    Suggestion.objects.filter(request__in=list(lists)).delete()
    for request, suggestion_list in lists.items():
        for suggestion in suggestion_list.suggestions:
            suggestion.request_id = request
    Suggestion.objects.bulk_create([suggestion for one in lists.values() for suggestion in one.suggestions])
