"""Why songs are in a list: the line that the photo attends to most, the tags that agree, and where the line is sung."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from uuid import UUID

from recommender.results import Explanation
from socialsongs.lrc import has_stamps, start_of
from socialsongs.models import Song
from socialsongs.sung import comparison_key, sung_part

from .scores import ScoredCandidates
from .song_list import FALLBACK, ListedSong


def explain(
    scored: ScoredCandidates, listed: Sequence[ListedSong], songs: Mapping[UUID, Song]
) -> dict[UUID, Explanation]:
    """Explain the listed songs that are there for their lyrics, each by the view that it fits best."""
    candidates, query = scored.candidates, scored.query
    rows = [
        candidates.rows[song.song] for song in listed if song.song in candidates.rows and song.origin not in FALLBACK
    ]
    best_views = scored.by_view[:, rows].argmax(0).tolist()
    explanations: dict[UUID, Explanation] = {}
    for number in set(best_views):
        view = query.views[number]
        view_rows = [row for row, best in zip(rows, best_views, strict=True) if best == number]
        lyrics = [candidates.lyrics[row] for row in view_rows]
        sung = [_sung_lines(songs[candidates.ids[row]], candidates.digests[row]) for row in view_rows]
        explained = scored.loaded.model.explain(view.tags, view.embedding, lyrics, sung)
        explanations |= {
            candidates.ids[row]: explanation for row, explanation in zip(view_rows, explained, strict=True)
        }
    return explanations


def _sung_lines(song: Song, encoded_digest: str) -> Container[int]:
    """Return the indices of the lines that may be shown; none when the lyrics have changed since they were encoded."""
    if song.lyrics_digest != encoded_digest:
        return ()
    return {index for index, line in enumerate(song.lyrics.split("\n")) if sung_part(line)}


def clip_start(song: Song, lines: Sequence[str], index: int) -> int | None:
    """Return where the clip of a line starts, in ms; None when the lyrics have no time stamps.

    When the song has a preview that does not contain the line, it is the start of the preview. ``lines``: the words of
    each line of the lyrics.
    """
    synced = song.synced_lyrics or song.lyrics
    if not has_stamps(synced):
        return None
    line_key = comparison_key(lines[index])
    earlier = sum(comparison_key(line) == line_key for line in lines[:index])
    start = start_of(synced, lines[index], earlier)
    if start is None or not song.has_preview:
        return start
    preview_start = song.preview_start_ms
    return start if preview_start <= start < preview_start + song.preview_length_ms else preview_start
