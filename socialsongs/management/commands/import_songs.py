"""Import a catalogue (JSON Lines: title, artist, lyrics ...; see docs/getting-started.md).

All of it or nothing. Lyrics are normalised; where a line names no language, the lyrics are asked for it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from socialsongs.errors import CatalogueError
from socialsongs.models import Song
from socialsongs.services.import_songs import import_songs

SAMPLE = "sample"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="JSON Lines, one song a line")
        parser.add_argument("--sample", action="store_true", help="the sample catalogue that ships, published at once")
        parser.add_argument(
            "--source", help="name of the source (default: the file's name); with the id it names a song"
        )
        parser.add_argument("--publish", action="store_true", help="publish new songs at once instead of as drafts")

    def handle(
        self, *args: Any, file: Path | None, sample: bool, source: str | None, publish: bool, **options: Any
    ) -> None:
        if sample == (file is not None):
            raise CommandError("Name a file, or use --sample.")
        if file is not None:
            self._import(file, source or file.stem, publish)
        else:
            with as_file(files("socialsongs") / "sample" / "catalogue.jsonl") as shipped:
                self._import(shipped, source or SAMPLE, publish=True)

    def _import(self, file: Path, source: str, publish: bool) -> None:
        """Line by line: the file may be larger than memory."""
        with Progress() as bar:
            try:
                with bar.open(
                    file, "r", encoding="utf-8-sig", errors="surrogateescape", description="reading"
                ) as lines:
                    result = import_songs(
                        lines=lines,
                        source=source,
                        status=Song.Status.PUBLISHED if publish else Song.Status.DRAFT,
                    )
            except OSError as error:
                raise CommandError(f"{file}: {error}") from error
            except CatalogueError as error:
                raise CommandError(f"Nothing was imported. {error}") from error
        self.stdout.write(f"{result.created} songs created, {result.updated} updated, {result.unchanged} unchanged")
