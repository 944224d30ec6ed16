"""Searches of a catalogue by name, words and common words: milliseconds, and whether any query read the whole table.

python bench/search.py [--songs 100000]

PostgreSQL is started for it in a temporary folder. The database makes the songs from 20,000 words, of which the
first are common as in a language; a title has three, a lyric 60. The embedded server has no pg_trgm: typos are not
looked for.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from servers import bench_folder, environment, own_servers

FOLDER = bench_folder()
os.environ |= environment(FOLDER)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from socialsongs.selectors.catalogue import published_songs  # noqa: E402
from socialsongs.selectors.search import search_songs  # noqa: E402

TIMES = 5
# Words are drawn by the cube of a random number: word0 is in most lyrics.
WORDS = "(SELECT string_agg('word' || floor(20000 * random() ^ 3), ' ') FROM generate_series(1, %s + 0 * number))"
FILL = f"""
INSERT INTO socialsongs_song (id, title, artist, album, lyrics, synced_lyrics, language, genre, moods, themes, explicit,
    preview_file, preview_url, preview_start_ms, preview_length_ms, artwork_url, isrc, licence, markets, popularity,
    editorial, status, source, source_id, created_at, updated_at)
SELECT gen_random_uuid(), {WORDS % 3}, 'Artist ' || number %% 5000, '', {WORDS % 60}, '', 'en', '', '{{}}', '{{}}',
    false, '', '', 0, 30000, '', '', '', '{{}}', 0, false, 'published', 'bench', number, now(), now()
FROM generate_series(1, %s) AS number
"""
QUERIES = {
    "artist": "artist 123",
    "rare words": "word7001 word3002",
    "a beginning": "word199",
    "one common word": "word0",
    "two common words": "word0 word1",
    "nothing": "zzzz",
}


def measure(count: int) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [count])
        cursor.execute("VACUUM ANALYZE socialsongs_song")
    found: dict[str, Any] = {"songs": count, "filled_s": round(time.perf_counter() - began, 1)}
    for name, text in QUERIES.items():
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            hits = search_songs(songs=published_songs(), text=text)
            taken.append(time.perf_counter() - began)
        found[name] = {"ms": round(1000 * sorted(taken)[TIMES // 2], 1), "hits": len(hits), "seq_scan": scans(text)}
    return found


def scans(text: str) -> bool:
    """Return whether any query of the search reads the whole table."""
    with CaptureQueriesContext(connection) as queries:
        search_songs(songs=published_songs(), text=text)
    return any("Seq Scan on socialsongs_song" in plan for plan in plans([query["sql"] for query in queries]))


def plans(statements: Sequence[str]) -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for statement in statements:
            if 'FROM "socialsongs_song"' in statement:
                cursor.execute(f"EXPLAIN {statement}")
                found.append("\n".join(line for (line,) in cursor.fetchall()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=100_000)
    given = parser.parse_args()
    with own_servers(FOLDER):
        found = measure(given.songs)
        connection.close()
    table = Table(
        "query",
        "ms (median of 5)",
        "hits",
        "reads the whole table",
        title=f"{given.songs} songs, {os.cpu_count()} cores",
    )
    for name in QUERIES:
        table.add_row(name, *(str(found[name][key]) for key in ("ms", "hits", "seq_scan")))
    Console(width=110).print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
