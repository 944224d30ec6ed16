"""Loads prepared rows into the database by COPY, as a restore would, and measures their size."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector

from scaling.made import Made
from socialsongs.models import ModelRelease

# Genres by which searches are filtered, and the share of the songs that have each.
GENRES = {"tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
OTHERS = "others"
EDITORIAL = 200  # editorial songs
NOW = datetime(2026, 1, 1, tzinfo=UTC)

SONG = {
    "id": "uuid", "title": "text", "artist": "text", "album": "text", "lyrics": "text", "synced_lyrics": "text",
    "language": "text", "genre": "text", "moods": "varchar[]", "themes": "varchar[]", "explicit": "bool",
    "preview_file": "text", "preview_url": "text", "preview_start_ms": "int4", "artwork_url": "text", "isrc": "text",
    "licence": "text", "markets": "varchar[]", "popularity": "float8", "editorial": "bool", "status": "text",
    "source": "text", "source_id": "text", "created_at": "timestamptz", "updated_at": "timestamptz",
}  # fmt: skip
EMBEDDING = {
    "song_id": "uuid", "release_id": "int8", "state": "text", "reason": "text", "attempts": "int2",
    "queued_at": "timestamptz", "finished_at": "timestamptz", "lyrics_digest": "text", "stage_one": "halfvec",
    "cell": "int4", "line_states": "bytea", "line_offsets": "int4[]", "mean_score": "float8", "status": "text",
    "explicit": "bool", "language": "text", "genre": "text", "markets": "varchar[]",
}  # fmt: skip


def song_id(number: int) -> UUID:
    return UUID(int=number + 1)


def genres(songs: int) -> NDArray[np.str_]:
    """Return the genre of each song, drawn at random."""
    names = [*GENRES, OTHERS]
    shares = [*GENRES.values(), 1 - sum(GENRES.values())]
    return np.random.default_rng(1).choice(names, songs, p=shares)


def markets(number: int) -> list[str]:
    """Return the markets of each song: a fifth may be shown in two countries only."""
    return ["AT", "DE"] if number % 5 == 0 else []


def popularity(number: int) -> float:
    """Return the popularity: known for every tenth song, of those that may be shown anywhere."""
    return (number * 7919 % 1000) / 1000 if number % 10 == 3 else 0.0


def copy_songs(made: Made, numbers: Iterable[int], of: NDArray[np.str_]) -> None:
    rows = (
        (
            song_id(number), f"Song {number}", f"Artist {number % 50_000}", "", made.lyrics(number), "", "en",
            str(of[number]), [], [], False, "", "", 0, "", "", "", markets(number), popularity(number),
            number < EDITORIAL, "published", "made", str(number), NOW, NOW,
        )
        for number in numbers
    )  # fmt: skip
    _copy("socialsongs_song", SONG, rows)


def copy_embeddings(
    made: Made, numbers: Iterable[int], of: NDArray[np.str_], release: ModelRelease, digests: Sequence[str]
) -> None:
    rows = (
        (
            song_id(number), release.pk, "ready", "", 0, NOW, NOW, digests[number],
            HalfVector(made.stage_one[number]), int(made.cells[number]), made.packed(number).tobytes(),
            list(range(int(made.starts[number + 1] - made.starts[number]))), float(made.mean_score[number]),
            "published", False, "en", str(of[number]), markets(number),
        )
        for number in numbers
    )  # fmt: skip
    _copy("socialsongs_songembedding", EMBEDDING, rows)


def lyrics_digests(made: Made) -> list[str]:
    """Return the digests of the lyrics, as the database computes them."""
    return [hashlib.md5(made.lyrics(number).encode()).hexdigest() for number in range(len(made))]


def copy_peer(vectors: Iterable[NDArray[np.float32]]) -> None:
    """Load the peer's plain table: an id and a vector of the sentence encoder."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE peer (id bigint PRIMARY KEY, embedding vector(384))")
    rows = ((number, Vector(vector)) for number, vector in enumerate(vectors))
    _copy("peer", {"id": "int8", "embedding": "vector"}, rows)


def _copy(table: str, columns: dict[str, str], rows: Iterable[Sequence[Any]]) -> None:
    connection.ensure_connection()
    register_vector(connection.connection)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN BINARY") as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)


def timed(work: Any, *given: Any, **named: Any) -> float:
    began = time.perf_counter()
    work(*given, **named)
    return time.perf_counter() - began


def sizes(release: ModelRelease, median_lines: int) -> dict[str, float]:
    """Return bytes per song: of all tables and indexes, and of the row and its index entries at the median lyric."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM socialsongs_songembedding WHERE release_id = %s", [release.pk])
        (rows,) = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM socialsongs_songembedding")
        (of_all_releases,) = cursor.fetchone()
        cursor.execute("SELECT pg_total_relation_size('socialsongs_song'), pg_indexes_size('socialsongs_song')")
        songs, song_indexes = cursor.fetchone()
        cursor.execute(
            "SELECT pg_total_relation_size('socialsongs_songembedding'), pg_indexes_size('socialsongs_songembedding')"
        )
        embeddings, embedding_indexes = cursor.fetchone()
        cursor.execute("SELECT pg_relation_size(%s::regclass)", [f"socialsongs_hnsw_{release.pk}"])
        (hnsw,) = cursor.fetchone()
        cursor.execute("SELECT coalesce(sum(pg_relation_size(indexrelid)), 0)::bigint FROM pg_index "
                       "JOIN pg_class ON oid = indexrelid WHERE relname LIKE 'socialsongs_hnsw_%'")  # fmt: skip
        (all_hnsw,) = cursor.fetchone()
        cursor.execute(
            "SELECT avg(pg_column_size(song.*) + pg_column_size(mine.*)) FROM socialsongs_songembedding AS mine "
            "JOIN socialsongs_song AS song ON song.id = mine.song_id "
            "WHERE mine.release_id = %s AND array_length(mine.line_offsets, 1) = %s",
            [release.pk, median_lines],
        )
        (median_rows,) = cursor.fetchone()
    share = rows / of_all_releases
    indexes = song_indexes + (embedding_indexes - all_hnsw) * share + hnsw
    total = songs + (embeddings - all_hnsw) * share + hnsw
    return {
        "bytes_per_song": round(total / rows),
        "bytes_at_median_lyric": round(float(median_rows) + indexes / rows),
        "index_bytes_per_song": round(hnsw / rows),
        "gigabytes": round(total / 1e9, 2),
    }
