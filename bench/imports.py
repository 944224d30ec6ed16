"""The import of a catalogue file: songs per second, time by stage; then the same file again.

python bench/imports.py [--songs 100000]

PostgreSQL is started for it in a temporary folder, with one active release, whose embedding rows are part of the
import. The songs are lines of the sample catalogue's lyrics in new orders; none names its language. The stages are the
import's own functions, called alone on a part of the file. ``own_cpu_s`` is the import's processor time in this
process: the rest is the database's, or was spent waiting for a processor.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from servers import ROOT, bench_folder, environment, own_servers

FOLDER = bench_folder()
os.environ |= environment(FOLDER)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from socialsongs.language_guess import language_of  # noqa: E402
from socialsongs.models import Song, SongEmbedding  # noqa: E402
from socialsongs.services.catalogue import SLICE, sync_slice  # noqa: E402
from socialsongs.services.import_songs import Imported, import_songs, read_songs  # noqa: E402
from socialsongs.services.lyrics import normalise  # noqa: E402
from socialsongs.services.releases import register  # noqa: E402

CATALOGUE = ROOT / "socialsongs" / "sample" / "catalogue.jsonl"
STANZAS, LINES = 6, (4, 6)
SAMPLE = 2000  # songs that the stages are measured with
TARGET = 1000


def make_songs(count: int) -> Iterator[str]:
    """Yield lines of a catalogue file, each a different song."""
    samples = [json.loads(line) for line in CATALOGUE.read_text().splitlines()]
    sung = [line for song in samples for line in song["lyrics"].splitlines() if line]
    chance = random.Random(1)
    for number in range(count):
        song = {key: value for key, value in samples[number % len(samples)].items() if key != "synced_lyrics"}
        stanzas = ["\n".join(chance.sample(sung, chance.randint(*LINES))) for _ in range(STANZAS)]
        changed = {"id": f"song-{number}", "title": f"{song['title']} {number}", "lyrics": "\n\n".join(stanzas)}
        yield json.dumps(song | changed | {"language": None})


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def import_file(file: Path) -> Imported:
    with file.open(encoding="utf-8") as lines:
        return import_songs(lines=lines, source="bench", status=Song.Status.PUBLISHED)


def milliseconds_by_stage(lines: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds per song of each stage."""
    lyrics = [json.loads(line)["lyrics"] for line in lines]
    language_of(lyrics[0])  # loads its model
    stages: dict[str, Callable[[], Any]] = {
        "JSON": lambda: [json.loads(line) for line in lines],
        "normalisation": lambda: [normalise(text) for text in lyrics],
        "language": lambda: [language_of(text) for text in lyrics],
        "JSON, validation, normalisation, language": lambda: list(read_songs(lines, source="", status="draft")),
    }
    return {name: 1000 * timed(call)[0] / len(lines) for name, call in stages.items()}


def measure(count: int) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    register(name="bench", sha256="0" * 64, card={})
    file = FOLDER / "songs.jsonl"
    with file.open("w", encoding="utf-8") as target:
        target.writelines(f"{line}\n" for line in make_songs(count))
    stages = milliseconds_by_stage(list(make_songs(min(SAMPLE, count))))
    cpu = time.process_time()
    first_s, first = timed(lambda: import_file(file))
    cpu = time.process_time() - cpu
    if first.created != count or SongEmbedding.objects.count() != count:
        raise SystemExit("Not every song was imported.")
    again_s, again = timed(lambda: import_file(file))
    if again.unchanged != count:
        raise SystemExit("The same file again changed something.")
    turn_s, _ = timed(lambda: sync_slice(after=None))
    return {
        "songs": count,
        "import_per_s": round(count / first_s),
        "again_per_s": round(count / again_s),
        "import_s": round(first_s, 1),
        "own_cpu_s": round(cpu, 1),
        "file_mib": round(file.stat().st_size / 2**20),
        f"turn_of_{SLICE}_ms": round(1000 * turn_s),
        "stage_ms": {name: round(taken, 3) for name, taken in stages.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=100_000)
    given = parser.parse_args()
    with own_servers(FOLDER):
        found = measure(given.songs)
        connection.close()
    table = Table("figure", "measured", "target", title=f"{given.songs} songs, {os.cpu_count()} cores")
    for name, value in found.items():
        text = "\n".join(f"{key}: {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, text, f">= {TARGET}" if name == "import_per_s" else "")
    Console(width=110).print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
