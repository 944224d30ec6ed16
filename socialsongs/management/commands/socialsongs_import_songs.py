"""Import a catalogue (JSON Lines: title, artist, lyrics ...; see docs/getting-started.md).

Imports all songs or none, unless --skip-bad is given. Normalises lyrics, and detects their language where a line names
none. Ends with status 1 when nothing was imported, and with 3 when bad lines were skipped.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from socialsongs.errors import BadLine, CatalogueError
from socialsongs.models import Song
from socialsongs.services.import_songs import Notes, import_songs

SAMPLE = "sample"
MOST_SHOWN = 20
SKIPPED = 3  # exit status
# First bytes of files that are not UTF-8, longer ones first.
BEGINNINGS = {
    b"\xff\xfe\0\0": "UTF-32LE", b"\0\0\xfe\xff": "UTF-32BE", b"{\0\0\0": "UTF-32LE", b"\0\0\0{": "UTF-32BE",
    b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE", b"{\0": "UTF-16LE", b"\0{": "UTF-16BE",
}  # fmt: skip
GZIP = b"\x1f\x8b"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="JSON Lines file with one song a line")
        parser.add_argument(
            "--sample", action="store_true", help="import the sample catalogue of this package, and publish it"
        )
        parser.add_argument(
            "--source", help="name of the source (default: the file's name); source and id identify a song"
        )
        parser.add_argument("--publish", action="store_true", help="publish new songs at once instead of as drafts")
        parser.add_argument("--skip-bad", action="store_true", help="skip and list bad lines, and import the others")
        parser.add_argument(
            "--bad-lines", type=Path, metavar="FILE", help="with --skip-bad: write all bad lines to FILE, as JSON Lines"
        )

    def handle(
        self,
        *args: Any,
        file: Path | None,
        sample: bool,
        source: str | None,
        publish: bool,
        skip_bad: bool,
        bad_lines: Path | None,
        **options: Any,
    ) -> None:
        if sample == (file is not None):
            raise CommandError("Name a file, or use --sample.")
        if bad_lines and not skip_bad:
            raise CommandError("--bad-lines needs --skip-bad.")
        if file and bad_lines and file.exists() and bad_lines.exists() and bad_lines.samefile(file):
            raise CommandError(f"--bad-lines would overwrite the catalogue {file}. Name another file.")
        with ExitStack() as stack:
            if file is None:
                file = stack.enter_context(as_file(files("socialsongs") / "sample" / "catalogue.jsonl"))
                source, publish = source or SAMPLE, True
            skipped = Skipped(stack, bad_lines)
            status = Song.Status.PUBLISHED if publish else Song.Status.DRAFT
            self._import(file, source or file.stem, status, skipped if skip_bad else None)

    def _import(self, file: Path, source: str, status: str, skip: Skipped | None) -> None:
        """Import line by line, since the file can be larger than memory."""
        with Progress() as bar:
            try:
                _check_encoding(file)
                with bar.open(
                    file, "r", encoding="utf-8-sig", errors="surrogateescape", description="reading"
                ) as lines:
                    result = import_songs(lines=lines, source=source, status=status, skip=skip)
            except OSError as error:
                raise CommandError(f"{error.filename or file} cannot be read: {error.strerror or error}.") from error
            except CatalogueError as error:
                raise CommandError(f"Nothing was imported. {error}") from error
        self._write_notes(result.notes)
        self.stdout.write(f"{result.created} songs created, {result.updated} updated, {result.unchanged} unchanged")
        if skip is not None and skip.count:
            raise CommandError(skip.summary(), returncode=SKIPPED)

    def _write_notes(self, notes: Notes) -> None:
        shown = notes.songs.most_common(MOST_SHOWN)
        for note, songs in shown:
            self.stdout.write(f"{note} ({songs} songs, first in line {notes.first[note]})")
        if rest := len(notes.songs) - len(shown):
            self.stdout.write(f"... and {rest} more such remarks")


class Skipped:
    """Collects bad lines: keeps the first ones to show, and writes all to a file when one is given."""

    def __init__(self, stack: ExitStack, path: Path | None) -> None:
        self.count = 0
        self.first: list[BadLine] = []
        self.path = path
        self.write: Callable[[str], object] | None = None
        if path is not None:
            try:
                self.write = stack.enter_context(path.open("w", encoding="utf-8")).write
            except OSError as error:
                raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from error

    def __call__(self, bad: BadLine) -> None:
        self.count += 1
        if len(self.first) < MOST_SHOWN:
            self.first.append(bad)
        if self.write is not None:
            row = {"line": bad.line, "field": bad.field, "reason": bad.reason}
            self.write(json.dumps(row) + "\n")

    def summary(self) -> str:
        texts = [f"{self.count} bad lines were skipped:", *map(str, self.first)]
        if rest := self.count - len(self.first):
            texts.append(f"... and {rest} more: " + (f"see {self.path}" if self.path else "--bad-lines FILE lists all"))
        return "\n".join(texts)


def _check_encoding(file: Path) -> None:
    """Raises CatalogueError when the file is compressed or not UTF-8."""
    with file.open("rb") as opened:
        start = opened.read(4)
    if start.startswith(GZIP):
        raise CatalogueError(f"{file} is compressed. Unpack it: gunzip -k {file}")
    for beginning, encoding in BEGINNINGS.items():
        if start.startswith(beginning):
            raise CatalogueError(
                f"{file} is {encoding}, not UTF-8. Convert it: iconv -f {encoding} -t UTF-8 {file} > NEW"
            )
