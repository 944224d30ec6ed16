"""Stage one: the nearest songs to a photo among those that its request allows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import FloatField, Q, QuerySet
from django.db.models.expressions import ExpressionWrapper, RawSQL
from pgvector.django import MaxInnerProduct

from ..conf import config
from ..models import ModelRelease, Song, SongEmbedding

# How many songs the index keeps in view, so that hardly one of the nearest is missed: pgvector's own limit.
EF_SEARCH = 1000
# How many rows the index looks at before it gives up on a condition that too few of them meet.
MOST_SCANNED = 40_000
# Up to so many songs are sorted one by one, of one genre or of any: faster than the index, which would leave most of
# what it finds.
SORTED_OF_GENRE, SORTED_ROWS = 120_000, 20_000
# Tells one state of an embedding row from every other; and a number is read ten times as fast as a date.
VERSION = RawSQL("socialsongs_songembedding.xmin::text::bigint", (), models.BigIntegerField())


class NearSong(NamedTuple):
    """An embedding row: its key, its song, the transaction that wrote it last, minus the estimate <v', l0>; and of the
    song what choosing asks for."""

    pk: int
    song_id: UUID
    version: int
    distance: float
    artist: str
    genre: str
    popularity: float


def song_filters(*, parameters: dict[str, object]) -> Q:
    """The conditions on embedding rows that a request's parameters ask for."""
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
    """The encoded songs with the highest <v', l0>, best first; ``embedding`` is v', (SEARCH_DIM,).

    By the HNSW index; one by one where the condition leaves few songs, which the planner does not do by itself, and
    where the index found too few. ``of_genre``: the condition names a genre.
    """
    rows = SongEmbedding.objects.filter(condition, release=release, stage_one__isnull=False)
    distance = MaxInnerProduct("stage_one", list(embedding))
    with transaction.atomic():
        if _expected(rows) > (SORTED_OF_GENRE if of_genre else SORTED_ROWS):
            found = _by_index(rows, distance, limit)
            if len(found) == limit:
                return found
        return _one_by_one(rows, distance, limit)


def _expected(rows: QuerySet[SongEmbedding]) -> int:
    """How many rows the database's statistics say there are."""
    (plan,) = json.loads(rows.order_by().values("pk").explain(format="json"))
    expected: int = plan["Plan"]["Plan Rows"]
    return expected


def search_further(limit: int) -> None:
    """Inside the transaction of a search by an HNSW index for so many rows.

    It gives 40 rows, before the condition, unless it is told to look at as many as are asked for and to go on while the
    condition leaves too few. It then gives them only roughly in order.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL hnsw.iterative_scan = relaxed_order; "
            f"SET LOCAL hnsw.max_scan_tuples = {MOST_SCANNED}; SET LOCAL hnsw.scan_mem_multiplier = 8; "
            f"SET LOCAL hnsw.ef_search = {min(EF_SEARCH, max(4 * limit, 40))}"
        )


def _by_index(rows: QuerySet[SongEmbedding], distance: MaxInnerProduct, limit: int) -> list[NearSong]:
    search_further(limit)
    return _near_songs(rows.annotate(distance=distance).order_by("distance")[:limit])


def _one_by_one(rows: QuerySet[SongEmbedding], distance: MaxInnerProduct, limit: int) -> list[NearSong]:
    with connection.cursor() as cursor:  # starting others to help takes longer than they save
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    # By a sum, which no index knows.
    nearest = rows.order_by(ExpressionWrapper(distance + 0.0, FloatField()))[:limit]
    # The songs' rows are joined to what was found, and not to all rows before they are sorted.
    return _near_songs(SongEmbedding.objects.filter(pk__in=nearest.values("pk")).annotate(distance=distance))


def _near_songs(nearest: QuerySet[SongEmbedding]) -> list[NearSong]:
    rows = nearest.annotate(version=VERSION).values_list(
        "pk", "song_id", "version", "distance", "song__artist", "genre", "song__popularity"
    )
    return sorted(map(NearSong._make, rows), key=attrgetter("distance", "pk"))
