"""Songs, releases, and the nearest songs to a photo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db import connection, models, transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from pgvector.django import MaxInnerProduct

from ..models import ModelRelease, Song, SongEmbedding, State
from ..models.song import SONG_SEARCH

MOST_EF_SEARCH = 1000  # pgvector's own limit
# Tells one state of an embedding row from every other; and a number is read ten times as fast as a date.
VERSION = RawSQL("socialsongs_songembedding.xmin::text::bigint", (), models.BigIntegerField())


def active_release() -> ModelRelease | None:
    """Without its card, which is large: workers ask between any two batches."""
    return ModelRelease.objects.filter(state=ModelRelease.State.ACTIVE).defer("card").first()


def live_releases() -> QuerySet[ModelRelease]:
    """Those that songs are encoded for, the active one first."""
    live = ModelRelease.objects.exclude(state=ModelRelease.State.RETIRED).defer("card")
    return live.order_by("state", "-created_at")  # "active" sorts before "staged"


def published_songs() -> QuerySet[Song]:
    return Song.objects.filter(status=Song.Status.PUBLISHED).order_by("title", "id")


def search_songs(*, songs: QuerySet[Song], text: str) -> QuerySet[Song]:
    """Songs whose title, artist, album or lyrics hold every word of the text, as word or beginning of one."""
    words = re.findall(r"\w+", text)
    if not words:
        return songs
    query = SearchQuery(" & ".join(f"'{word}':*" for word in words), search_type="raw", config="simple")
    return songs.annotate(search=SONG_SEARCH).filter(search=query)


def song_filters(*, parameters: dict[str, object]) -> Q:
    """The conditions on embedding rows that a request's parameters ask for."""
    condition = Q(status=Song.Status.PUBLISHED)
    if not parameters.get("explicit", True):
        condition &= Q(explicit=False)
    if language := parameters.get("language"):
        condition &= Q(language=language)
    if genre := parameters.get("genre"):
        condition &= Q(genre=genre)
    if market := parameters.get("market"):
        condition &= Q(markets=[]) | Q(markets__contains=[market])
    if exclude := parameters.get("exclude"):
        condition &= ~Q(song_id__in=exclude)
    return condition


class NearSong(NamedTuple):
    """An embedding row: its key, its song, the transaction that wrote it last, and minus <v', l0>."""

    pk: int
    song_id: UUID
    version: int
    distance: float


def nearest_songs(*, release: ModelRelease, embedding: Sequence[float], condition: Q, limit: int) -> list[NearSong]:
    """Stage one: the encoded songs with the highest <v', l0>, best first; ``embedding`` is v', (EMBEDDING_DIM,).

    An HNSW index gives 40 rows, before the condition, unless it is told to look at as many as are asked for
    and to go on while the condition leaves too few. It then gives them only roughly in order.
    """
    songs = (
        SongEmbedding.objects.filter(condition, release=release, stage_one__isnull=False)
        .annotate(distance=MaxInnerProduct("stage_one", list(embedding)), version=VERSION)
        .order_by("distance")[:limit]
    )
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL hnsw.iterative_scan = relaxed_order; "
                f"SET LOCAL hnsw.ef_search = {min(MOST_EF_SEARCH, max(limit, 40))}"
            )
        found = map(NearSong._make, songs.values_list("pk", "song_id", "version", "distance"))
        return sorted(found, key=attrgetter("distance"))


def encoding_coverage(*, release: ModelRelease) -> tuple[int, int]:
    """How many songs of the catalogue the release has dealt with, and how many there are."""
    rows = SongEmbedding.objects.filter(release=release).exclude(song__status=Song.Status.RETIRED)
    done = rows.filter(state__in=[State.READY, State.FAILED]).count()
    return done, Song.objects.exclude(status=Song.Status.RETIRED).count()


def searchable(*, release: ModelRelease) -> bool:
    """False while there are published songs, but none of them has been encoded yet."""
    if SongEmbedding.objects.filter(release=release, stage_one__isnull=False).exists():
        return True
    waiting = SongEmbedding.objects.filter(release=release, state__in=[State.QUEUED, State.ANALYSING])
    return not waiting.filter(status=Song.Status.PUBLISHED).exists()
