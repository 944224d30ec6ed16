"""Published songs, and the songs that are offered when none fits."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from ..models import ModelRelease, Song, SongEmbedding

MOST_OFFERED = 100
# How many songs count as popular. When a request allows few of them, no others are searched.
MOST_POPULAR = 2000


def published_songs() -> QuerySet[Song]:
    return Song.objects.filter(status=Song.Status.PUBLISHED).order_by("title", "id")


class FallbackSong(NamedTuple):
    song: UUID
    artist: str
    genre: str


def editorial_songs(*, release: ModelRelease, condition: Q) -> list[FallbackSong]:
    """Return the editorial songs that a request allows; ``condition``: see ``song_filters``."""
    return _fallback_songs(release, condition & Q(song__editorial=True), "?")


def popular_songs(*, release: ModelRelease, condition: Q) -> list[FallbackSong]:
    """Return the popular songs that a request allows; none when no song has a popularity."""
    popular = Song.objects.filter(popularity__gt=0).order_by("-popularity")[:MOST_POPULAR]
    return _fallback_songs(release, condition & Q(song__in=popular.values("pk")), "-song__popularity")


def _fallback_songs(release: ModelRelease, condition: Q, order: str) -> list[FallbackSong]:
    rows = SongEmbedding.objects.filter(condition, release=release).order_by(order)[:MOST_OFFERED]
    return sorted(map(FallbackSong._make, rows.values_list("song_id", "song__artist", "genre")))
