"""Published songs, and the songs that are offered when none fits."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.db.models import CharField, Func, Q, QuerySet

from ..database import connection
from ..models import ModelRelease, Song, SongEmbedding

MOST_OFFERED = 100
# How many songs count as popular. When a request allows few of them, no others are searched.
MOST_POPULAR = 2000

GENRES = """
WITH RECURSIVE found (genre) AS (
    (SELECT genre FROM socialsongs_songembedding
        WHERE release_id = %(release)s AND status = %(published)s AND genre > '' ORDER BY genre LIMIT 1)
    UNION ALL
    SELECT (SELECT genre FROM socialsongs_songembedding AS further
        WHERE release_id = %(release)s AND status = %(published)s AND further.genre > found.genre
        ORDER BY genre LIMIT 1)
    FROM found WHERE found.genre IS NOT NULL
)
SELECT genre FROM found WHERE genre IS NOT NULL
"""


def published_songs() -> QuerySet[Song]:
    return Song.objects.filter(status=Song.Status.PUBLISHED).order_by("title", "id")


def genres_of(*, release: ModelRelease) -> list[str]:
    """Return the genres of the published songs, by jumps from one to the next in the index of genres."""
    with connection().cursor() as cursor:
        cursor.execute(GENRES, {"release": release.pk, "published": Song.Status.PUBLISHED})
        return [genre for (genre,) in cursor.fetchall()]


def moods_of_catalogue() -> set[str]:
    """Return the moods that staff gave to published songs, as they are written. Reads the whole catalogue."""
    moods = Song.objects.filter(status=Song.Status.PUBLISHED).annotate(
        mood=Func("moods", function="unnest", output_field=CharField())
    )
    return set(moods.order_by().values_list("mood", flat=True).distinct())


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
