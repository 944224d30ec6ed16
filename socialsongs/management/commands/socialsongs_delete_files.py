"""Delete all photos, thumbnails and previews from the storage, before SocialSongs is uninstalled.

The rows stay, without their files, until `migrate socialsongs zero` drops their tables. Files of the host's own models
are not touched.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from socialsongs.services.stored_files import count_files, stored_files

MOST_NAMED = 10


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-input", action="store_true", help="do not ask for confirmation")
        parser.add_argument("--dry-run", action="store_true", help="only count the files")

    def handle(self, *args: Any, no_input: bool, dry_run: bool, **options: Any) -> None:
        counts = count_files()
        total = sum(counts.values())
        self.stdout.write("; ".join(f"{name}: {count}" for name, count in counts.items()) or "There are no files.")
        if dry_run or not total:
            return
        question = f"Delete these {total} files for good? Type “delete” to go on: "
        if not no_input and input(question) != "delete":
            raise CommandError("Nothing was deleted.")
        failed = []
        for storage, name in stored_files():
            try:
                storage.delete(name)
            except Exception as error:  # noqa: BLE001  # storage libraries have exceptions of their own
                failed.append(f"{name}: {error}")
        self.stdout.write(f"{total - len(failed)} files are deleted.")
        if failed:
            listed = "\n".join(failed[:MOST_NAMED])
            raise CommandError(f"{len(failed)} files could not be deleted; run the command again:\n{listed}")
