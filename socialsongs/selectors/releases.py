"""Releases: which are live, which answer, and how far they have encoded the catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection
from django.db.models import F, QuerySet

from ..models import ModelRelease, Song, SongEmbedding, State


def active_release() -> ModelRelease | None:
    """Without its card, which is large: workers ask between any two batches."""
    return ModelRelease.objects.filter(state=ModelRelease.State.ACTIVE).defer("card").first()


def serving_releases() -> list[ModelRelease]:
    """Those that answer: the active one first, then the staged ones that are tried on a share of the people.

    None at all while none is active.
    """
    live = list(live_releases())
    if not live or live[0].state != ModelRelease.State.ACTIVE:
        return []
    return [live[0], *(release for release in live[1:] if release.share)]


def live_releases() -> QuerySet[ModelRelease]:
    """Those that songs are encoded for, the active one first."""
    live = ModelRelease.objects.exclude(state=ModelRelease.State.RETIRED).defer("card")
    return live.order_by("state", "-created_at")  # "active" sorts before "staged"


def lock_serving_releases(*, releases: Iterable[ModelRelease]) -> set[int]:
    """The ids of those that answer at this moment, and go on to until the end of this transaction.

    Who activates, tries or retires a release waits for that, since they lock these rows, by id, too.
    """
    with connection.cursor() as cursor:
        # FOR SHARE, which Django does not have: workers do not wait for each other.
        cursor.execute(
            "SELECT id FROM socialsongs_modelrelease WHERE id = ANY(%s) AND (state = %s OR (state = %s AND share > 0))"
            " ORDER BY id FOR SHARE",
            [[release.pk for release in releases], ModelRelease.State.ACTIVE, ModelRelease.State.STAGED],
        )
        return {key for (key,) in cursor.fetchall()}


def encoding_coverage(*, release: ModelRelease) -> tuple[int, int]:
    """How many songs of the catalogue the release has dealt with as their lyrics are now, and how many there are.

    By the songs themselves: rows of a retired release are not kept in line with them.
    """
    songs = Song.objects.exclude(status=Song.Status.RETIRED)
    dealt_with = SongEmbedding.objects.filter(release=release, state__in=[State.READY, State.FAILED])
    done = dealt_with.filter(song__in=songs, lyrics_digest=F("song__lyrics_digest")).count()
    return done, songs.count()


def searchable(*, release: ModelRelease) -> bool:
    """False while there are published songs, but none of them has been encoded yet."""
    if SongEmbedding.objects.filter(release=release, stage_one__isnull=False).exists():
        return True
    waiting = SongEmbedding.objects.filter(release=release, state__in=[State.QUEUED, State.ANALYSING])
    return not waiting.filter(status=Song.Status.PUBLISHED).exists()
