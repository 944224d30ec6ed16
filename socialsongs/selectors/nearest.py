"""Stage one: the nearest songs to a photo, of those that the request allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import FloatField, Q, QuerySet
from django.db.models.expressions import ExpressionWrapper, RawSQL
from pgvector.django import MaxInnerProduct

from ..conf import config
from ..database import atomic, connection
from ..models import ModelRelease, Song, SongEmbedding

# Candidates that the HNSW scan keeps: pgvector's maximum, so that it misses few of the nearest.
EF_SEARCH = 1000
# Rows that the HNSW scan visits before it gives up on a condition that too few of them meet.
MOST_SCANNED = 40_000
# Up to this many songs (of one genre, of all) are sorted exactly: faster than an HNSW scan, most of whose rows the
# condition would exclude.
SORTED_OF_GENRE, SORTED_ROWS = 120_000, 20_000
# Changes with every write of an embedding row. Reading a number is ten times as fast as reading a date.
VERSION = RawSQL("socialsongs_songembedding.xmin::text::bigint", (), models.BigIntegerField())


class NearSong(NamedTuple):
    """An embedding row: key, song, version (the last transaction that wrote it) and ``distance``, which is -<v', l0>;
    and the facts of the song that choosing needs."""

    pk: int
    song_id: UUID
    version: int
    distance: float
    artist: str
    genre: str
    popularity: float


def song_filters(*, parameters: dict[str, object]) -> Q:
    """Return the condition on embedding rows for a request's parameters."""
    condition = Q(status=Song.Status.PUBLISHED)
    if not parameters.get("explicit"):
        condition &= Q(explicit=False)
    if language := parameters.get("language"):
        condition &= Q(language=language) | Q(language__startswith=f"{language}-")
    if genre := parameters.get("genre"):
        condition &= Q(genre=genre)
    if market := parameters.get("market") or config().MARKET:
        condition &= Q(markets=[]) | Q(markets__contains=[market])
    if exclude := parameters.get("exclude"):
        condition &= ~Q(song_id__in=exclude)
    return condition


def nearest_songs(
    *, release: ModelRelease, embedding: Sequence[float], condition: Q, limit: int, of_genre: bool = False
) -> list[NearSong]:
    """Return the encoded songs with the highest <v', l0>, best first; ``embedding`` is v', (SEARCH_DIM,).

    Uses the HNSW index. Sorts exactly where the condition leaves few songs (the planner would not do so by itself), or
    where the index found too few. ``of_genre``: the condition names a genre.
    """
    rows = SongEmbedding.objects.filter(condition, release=release, stage_one__isnull=False)
    distance = MaxInnerProduct("stage_one", list(embedding))
    with atomic():
        if _expected(rows) > (SORTED_OF_GENRE if of_genre else SORTED_ROWS):
            found = _by_index(rows, distance, limit)
            if len(found) == limit:
                return found
        return _one_by_one(rows, distance, limit)


def _expected(rows: QuerySet[SongEmbedding]) -> int:
    """Return the number of rows that the query planner estimates."""
    (plan,) = json.loads(rows.order_by().values("pk").explain(format="json"))
    expected: int = plan["Plan"]["Plan Rows"]
    return expected


def search_further(limit: int) -> None:
    """Configure HNSW scans in this transaction to return ``limit`` rows.

    By default a scan returns 40 rows before the condition is applied. These settings raise that, and continue the scan
    while the condition leaves too few. The rows come only roughly in order.
    """
    with connection().cursor() as cursor:
        cursor.execute(
            "SET LOCAL hnsw.iterative_scan = relaxed_order; "
            f"SET LOCAL hnsw.max_scan_tuples = {MOST_SCANNED}; SET LOCAL hnsw.scan_mem_multiplier = 8; "
            f"SET LOCAL hnsw.ef_search = {min(EF_SEARCH, max(4 * limit, 40))}"
        )


def _by_index(rows: QuerySet[SongEmbedding], distance: MaxInnerProduct, limit: int) -> list[NearSong]:
    search_further(limit)
    return _near_songs(rows.annotate(distance=distance).order_by("distance")[:limit])


def _one_by_one(rows: QuerySet[SongEmbedding], distance: MaxInnerProduct, limit: int) -> list[NearSong]:
    with connection().cursor() as cursor:  # starting parallel workers takes longer than they save
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    # Adding 0.0 keeps the planner from using the index.
    nearest = rows.order_by(ExpressionWrapper(distance + 0.0, FloatField()))[:limit]
    # Join songs to the rows found, instead of to all rows before the sort.
    return _near_songs(SongEmbedding.objects.filter(pk__in=nearest.values("pk")).annotate(distance=distance))


def _near_songs(nearest: QuerySet[SongEmbedding]) -> list[NearSong]:
    rows = nearest.annotate(version=VERSION).values_list(
        "pk", "song_id", "version", "distance", "song__artist", "genre", "song__popularity"
    )
    return sorted(map(NearSong._make, rows), key=attrgetter("distance", "pk"))
