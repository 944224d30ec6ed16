"""From what the model saw to suggestions: stage one in the database, stage two over the stored line states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from recommender.model import Explanation, Image2Song, PhotoView
from socialsongs.conf import config
from socialsongs.lrc import start_of
from socialsongs.models import ModelRelease, Song, Suggestion
from socialsongs.selectors.catalogue import nearest_songs, song_filters

from .figures import FIGURES
from .states import encoded_songs

SHOWN = ("title", "artist", "lyrics", "synced_lyrics")  # what of a song goes into a suggestion


class Found(NamedTuple):
    """The songs for one request, best first, not yet saved; ``confident``: does the first one fit clearly?"""

    suggestions: list[Suggestion]
    confident: bool


def find_songs(
    model: Image2Song, release: ModelRelease, views: Sequence[PhotoView], parameters: dict[str, Any]
) -> Found:
    """Suggestions for one or more photos; several photos count by the mean of their relevances."""
    if not views:
        return Found([], False)
    together = _together(views)
    with FIGURES.stage("search"):
        near = nearest_songs(
            release=release,
            embedding=model.query(together.embedding).tolist(),
            condition=song_filters(parameters=parameters),
            limit=config().CANDIDATES,
        )
        songs = encoded_songs(near)
    with FIGURES.stage("rank"):
        ids, lyrics = list(songs), list(songs.values())
        each = np.array([model.relevance(view.embedding, lyrics) for view in views])  # (views, songs)
        scores = each.mean(0)
        order = sorted(range(len(ids)), key=lambda place: (-scores[place], str(ids[place])))
        best = order[: parameters.get("limit", config().SUGGESTIONS)]
        rows = Song.objects.only(*SHOWN).in_bulk([ids[place] for place in best])
        best = [place for place in best if ids[place] in rows]  # the others were deleted in this moment
        confidence = model.confidence(together, scores[best])
        # The photo that fits a song best is the one that explains it.
        photos = each[:, best].argmax(0)
        explanations: dict[int, Explanation] = {}
        for photo in set(photos.tolist()):
            view, mine = views[photo], [place for place, by in zip(best, photos, strict=True) if by == photo]
            told = model.explain(view.tags, view.embedding, [lyrics[place] for place in mine])
            explanations |= dict(zip(mine, told, strict=True))
        suggestions = [
            _suggestion(release, rows[ids[place]], explanations[place], rank, float(scores[place]), float(likely))
            for rank, (place, likely) in enumerate(zip(best, confidence, strict=True), start=1)
        ]
    confident = bool(suggestions) and (suggestions[0].confidence or 0.0) >= model.no_match
    return Found(suggestions, confident)


def _suggestion(
    release: ModelRelease, song: Song, explanation: Explanation, rank: int, score: float, confidence: float
) -> Suggestion:
    lines = song.lyrics.split("\n")
    line = lines[explanation.line].strip() if explanation.line < len(lines) else ""
    earlier = sum(other.strip() == line for other in lines[: explanation.line])
    return Suggestion(
        song=song,
        release=release,
        rank=rank,
        score=score,
        confidence=confidence,
        reasons=[asdict(reason) for reason in explanation.reasons],
        line=line[:500],
        line_index=explanation.line,
        clip_start_ms=start_of(song.synced_lyrics, line, earlier) if song.synced_lyrics else None,
    )


def _together(views: Sequence[PhotoView]) -> PhotoView:
    """Several photos as one, as surely seen as the surest of them."""
    surest = max(views, key=lambda view: view.certainty)
    return replace(surest, embedding=np.mean([view.embedding for view in views], axis=0))


def save_suggestions(found: dict[UUID, Found]) -> None:
    """Replace the suggestions of requests, by their ids; inside the transaction that finishes the requests."""
    Suggestion.objects.filter(request__in=list(found)).delete()
    for request, (suggestions, _) in found.items():
        for suggestion in suggestions:
            suggestion.request_id = request
    Suggestion.objects.bulk_create([suggestion for one in found.values() for suggestion in one.suggestions])
