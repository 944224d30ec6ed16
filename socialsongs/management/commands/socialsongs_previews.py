"""Store previews from before clips were checked under the extension of their content; remove what is no clip."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from socialsongs.services.previews import odd_previews, rename_previews


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--list", action="store_true", help="print them and change nothing")

    def handle(self, *args: Any, list: bool, **options: Any) -> None:
        if list:
            for song in odd_previews().iterator():
                self.stdout.write(f"{song}: {song.preview_file.name}")
            return
        renamed = removed = 0
        for song, name, now in rename_previews():
            self.stdout.write(f"{song}: {name} is {f'now {now}' if now else 'no clip, and removed'}")
            renamed, removed = renamed + bool(now), removed + (not now)
        self.stdout.write(f"{renamed} previews were renamed, {removed} removed.")
