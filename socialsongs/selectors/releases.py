"""Releases: which are live, which serve, and how much of the catalogue they have encoded."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F, QuerySet

from ..database import connection
from ..models import ModelRelease, Song, SongEmbedding, State


def active_release() -> ModelRelease | None:
    """Return the active release, without its card: the card is large, and workers query before each batch."""
    return ModelRelease.objects.filter(state=ModelRelease.State.ACTIVE).defer("card").first()


def serving_releases() -> list[ModelRelease]:
    """Return the serving releases: the active one, then the staged ones with a share of the people.

    Empty while no release is active.
    """
    live = list(live_releases())
    if not live or live[0].state != ModelRelease.State.ACTIVE:
        return []
    return [live[0], *(release for release in live[1:] if release.share)]


def live_releases() -> QuerySet[ModelRelease]:
    """Return the releases that songs are encoded for, the active one first."""
    live = ModelRelease.objects.exclude(state=ModelRelease.State.RETIRED).defer("card")
    return live.order_by("state", "-created_at")  # "active" sorts before "staged"


def lock_serving_releases(*, releases: Iterable[ModelRelease]) -> set[int]:
    """Lock those of the releases that serve, so that they do until the end of this transaction; return their ids.

    Activating, splitting or retiring a release locks the same rows, in the order of their ids, and so waits.
    """
    with connection().cursor() as cursor:
        # FOR SHARE, which Django does not have: workers do not wait for each other.
        cursor.execute(
            "SELECT id FROM socialsongs_modelrelease WHERE id = ANY(%s) AND (state = %s OR (state = %s AND share > 0))"
            " ORDER BY id FOR SHARE",
            [[release.pk for release in releases], ModelRelease.State.ACTIVE, ModelRelease.State.STAGED],
        )
        return {key for (key,) in cursor.fetchall()}


def encoding_coverage(*, release: ModelRelease) -> tuple[int, int]:
    """Return how many songs the release has encoded with their present lyrics, and how many it has to.

    Compares with the songs themselves, since rows of a retired release are not kept in line. Failed songs count.
    """
    songs = Song.objects.exclude(status=Song.Status.RETIRED)
    finished = SongEmbedding.objects.filter(release=release, state__in=[State.READY, State.FAILED])
    done = finished.filter(song__in=songs, lyrics_digest=F("song__lyrics_digest")).count()
    return done, songs.count()


def searchable(*, release: ModelRelease) -> bool:
    """Return False while published songs wait and none is encoded yet."""
    if SongEmbedding.objects.filter(release=release, stage_one__isnull=False).exists():
        return True
    waiting = SongEmbedding.objects.filter(release=release, state__in=[State.QUEUED, State.ANALYSING])
    return not waiting.filter(status=Song.Status.PUBLISHED).exists()
