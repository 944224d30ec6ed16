"""Import a catalogue (JSON Lines: title, artist, lyrics ...; see docs/getting-started.md)."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib.resources import files
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
        try:
            if sample:
                text = (files("socialsongs") / "sample" / "catalogue.jsonl").read_text(encoding="utf-8")
            else:
                assert file is not None
                text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file}: {error}") from error
        lines = text.split("\n")
        with Progress() as bar:
            task = bar.add_task("songs", total=len(lines))
            try:
                result = import_songs(
                    lines=lines,
                    source=source or (SAMPLE if sample else file.stem if file else ""),
                    status=Song.Status.PUBLISHED if publish or sample else Song.Status.DRAFT,
                    progress=lambda done: bar.update(task, completed=done),
                )
            except CatalogueError as error:
                raise CommandError(f"Nothing was imported. {error}") from error
            bar.update(task, completed=len(lines))
        self.stdout.write(f"{result.created} songs created, {result.updated} updated, {result.unchanged} unchanged")
