"""From what the model saw to suggestions: stage one in the database, stage two over the stored line states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recommender.model import EncodedLyric, Image2Song, PhotoView
from socialsongs.conf import config
from socialsongs.lrc import start_of
from socialsongs.models import ModelRelease, RecommendationRequest, Song, SongEmbedding, Suggestion
from socialsongs.selectors.catalogue import nearest_songs, song_filters


def stored(row: SongEmbedding) -> EncodedLyric:
    """A song as it was encoded, from its row."""
    assert row.line_states is not None
    assert row.stage_one is not None
    states = np.frombuffer(bytes(row.line_states), "<f2")
    stage_one = np.asarray(row.stage_one, np.float32)
    return EncodedLyric(states.reshape(-1, len(stage_one)), row.line_offsets, stage_one, row.mean_score)


def find_songs(
    model: Image2Song, release: ModelRelease, views: Sequence[PhotoView], parameters: dict[str, Any]
) -> list[Suggestion]:
    """Unsaved suggestions for one or more photos, best first; several photos count by the mean of their relevances."""
    if not views:
        return []
    together = _together(views)
    query = model.query(together.embedding).tolist()
    condition = song_filters(parameters=parameters)
    rows = nearest_songs(release=release, embedding=query, condition=condition, limit=config().CANDIDATES)
    songs = [stored(row) for row in rows]
    scores = np.mean([model.relevance(view.embedding, songs) for view in views], axis=0)
    order = sorted(range(len(rows)), key=lambda place: (-scores[place], str(rows[place].song_id)))
    limit = parameters.get("limit", config().SUGGESTIONS)
    return [
        _suggestion(model, release, views, together, rows[place].song, songs[place], float(scores[place]), rank)
        for rank, place in enumerate(order[:limit], start=1)
    ]


def _suggestion(
    model: Image2Song,
    release: ModelRelease,
    views: Sequence[PhotoView],
    together: PhotoView,
    song: Song,
    encoded: EncodedLyric,
    score: float,
    rank: int,
) -> Suggestion:
    # The photo that fits the song best is the one that explains it.
    view = max(views, key=lambda view: float(model.relevance(view.embedding, [encoded])[0])) if views[1:] else views[0]
    explanation = model.explain(view.tags, view.embedding, encoded)
    confidence = model.confidence(together, score)
    lines = song.lyrics.split("\n")
    line = lines[explanation.line].strip() if explanation.line < len(lines) else ""
    earlier = sum(other.strip() == line for other in lines[: explanation.line])
    return Suggestion(
        song=song,
        release=release,
        rank=rank,
        score=score,
        confidence=confidence,
        reasons=[{"tag": reason.tag, "kind": reason.kind, "weight": reason.weight} for reason in explanation.reasons],
        line=line[:500],
        line_index=explanation.line,
        clip_start_ms=start_of(song.synced_lyrics, line, earlier) if song.synced_lyrics else None,
    )


def _together(views: Sequence[PhotoView]) -> PhotoView:
    """Several photos as one, as surely seen as the surest of them."""
    surest = max(views, key=lambda view: view.certainty)
    return replace(surest, embedding=np.mean([view.embedding for view in views], axis=0))


def is_confident(model: Image2Song, suggestions: Sequence[Suggestion]) -> bool:
    """Does the best one fit clearly?"""
    return bool(suggestions) and (suggestions[0].confidence or 0.0) >= model.no_match


def save_suggestions(request: RecommendationRequest, suggestions: list[Suggestion]) -> None:
    """Replace a request's suggestions; inside the transaction that finishes the request."""
    request.suggestions.all().delete()
    for suggestion in suggestions:
        suggestion.request = request
    Suggestion.objects.bulk_create(suggestions)
