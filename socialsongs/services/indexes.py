"""HNSW indexes (Malkov and Yashunin 2018) over what one release knows: songs for photos, and photos for songs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection

from ..models import ModelRelease


@dataclass(frozen=True)
class Index:
    name: str
    table: str
    column: str


class Built(NamedTuple):
    name: str
    anew: bool
    bytes: int


def build_indexes(*, release: ModelRelease, memory_mib: int) -> list[Built]:
    """Build both, or rebuild them beside the ones that searches go on using; writers are never locked out.

    Not inside a transaction. The graph must fit in ``memory_mib``, or the build takes many times as long: about 1,000
    bytes a row. After many changes a rebuild makes the index small and whole again.
    """
    indexes = (
        Index(f"socialsongs_hnsw_{release.pk}", "socialsongs_songembedding", "stage_one"),
        Index(f"socialsongs_photos_hnsw_{release.pk}", "socialsongs_photoanalysis", "direction"),
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SET maintenance_work_mem = '{memory_mib}MB'")
        cursor.execute(f"SET max_parallel_maintenance_workers = {max(1, (os.cpu_count() or 1) - 1)}")
        try:
            return [_build(index, release) for index in indexes]
        finally:
            cursor.execute("RESET maintenance_work_mem; RESET max_parallel_maintenance_workers")


def _build(index: Index, release: ModelRelease) -> Built:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [index.name])
        found = cursor.fetchone()
        if found == (True,):
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}_ccnew")  # of one that was interrupted
            cursor.execute(f"REINDEX INDEX CONCURRENTLY {index.name}")
        else:  # one whose build was interrupted stays behind, invalid
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index.name}")
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {index.name} ON {index.table} USING hnsw ({index.column} halfvec_ip_ops) "
                f"WHERE release_id = {release.pk} AND {index.column} IS NOT NULL"
            )
        cursor.execute(f"VACUUM ANALYZE {index.table}")  # searches go by the statistics, and dead rows slow them down
        cursor.execute("SELECT pg_relation_size(%s::regclass)", [index.name])
        (size,) = cursor.fetchone()
    return Built(index.name, found != (True,), size)
