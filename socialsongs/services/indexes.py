"""Builds the HNSW indexes (Malkov and Yashunin 2018) of a release: over its songs and over its photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from django.db import OperationalError
from psycopg.errors import LockNotAvailable

from ..database import atomic, connection
from ..models import ModelRelease, SongEmbedding
from .releases import NotPossible

EMBEDDINGS = SongEmbedding._meta.db_table
LOCK_SECONDS = 10


@dataclass(frozen=True)
class Index:
    name: str
    table: str
    column: str


class BuiltIndex(NamedTuple):
    name: str
    created: bool
    bytes: int


def build_indexes(*, release: ModelRelease, memory_mib: int) -> list[BuiltIndex]:
    """Build both indexes, or rebuild them while searches use the old ones; writers are never blocked.

    Cannot run inside a transaction. When the graph (about 1,000 bytes a row) does not fit in ``memory_mib``, the build
    takes many times as long. A rebuild after many changes makes the index smaller and searches more exact.
    """
    indexes = (
        Index(f"socialsongs_hnsw_{release.pk}", EMBEDDINGS, "stage_one"),
        Index(f"socialsongs_photos_hnsw_{release.pk}", "socialsongs_photoanalysis", "direction"),
    )
    with _build_resources(memory_mib):
        return [_build(index, release) for index in indexes]


def cluster(*, memory_mib: int) -> None:
    """Rewrite the table of song embeddings in the order of cells: neighbours are then stored together, which makes
    searching and indexing faster.

    Cannot run inside a transaction. Locks out readers and writers, and rebuilds existing indexes, so run it before
    ``build_indexes``. Temporarily needs free disk as large as the table and its indexes. Raises NotPossible, with
    nothing changed, while others use the table.
    """
    order = "socialsongs_embedding_order"
    with _build_resources(memory_mib), connection().cursor() as cursor:
        with atomic(durable=True):
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SET LOCAL statement_timeout = 0")
            try:  # first, because upgrading a weaker lock could deadlock
                cursor.execute(f"LOCK TABLE {EMBEDDINGS} IN ACCESS EXCLUSIVE MODE")
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                raise NotPossible(
                    "The songs' embeddings are in use. Stop the workers and the site, then try again."
                ) from error
            cursor.execute(f"CREATE INDEX {order} ON {EMBEDDINGS} (release_id, cell)")
            cursor.execute(f"CLUSTER {EMBEDDINGS} USING {order}")
            cursor.execute(f"DROP INDEX {order}")
        cursor.execute(f"VACUUM ANALYZE {EMBEDDINGS}")


@contextmanager
def _build_resources(memory_mib: int) -> Iterator[None]:
    """Let this connection build indexes with that much memory and with all cores."""
    with connection().cursor() as cursor:
        cursor.execute(f"SET maintenance_work_mem = '{memory_mib}MB'")
        cursor.execute(f"SET max_parallel_maintenance_workers = {max(1, (os.cpu_count() or 1) - 1)}")
        try:
            yield
        finally:
            cursor.execute("RESET maintenance_work_mem; RESET max_parallel_maintenance_workers")


def _build(index: Index, release: ModelRelease) -> BuiltIndex:
    with connection().cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index.name])
        found = cursor.fetchone()
        if found == (True,):
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}_ccnew")  # left by an interrupted rebuild
            cursor.execute(f"REINDEX INDEX CONCURRENTLY {index.name}")
        else:  # an interrupted build leaves an invalid index
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {index.name} ON {index.table} USING hnsw ({index.column} halfvec_ip_ops) "
                f"WHERE release_id = {release.pk} AND {index.column} IS NOT NULL"
            )
        cursor.execute(
            f"VACUUM ANALYZE {index.table}"
        )  # searches need current statistics, and dead rows slow them down
        cursor.execute("SELECT pg_relation_size(%s::regclass)", [index.name])
        (size,) = cursor.fetchone()
    return BuiltIndex(index.name, found != (True,), size)
