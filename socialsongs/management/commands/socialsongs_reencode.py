"""Encode songs again. Until then searches find them as before."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from socialsongs.models import SongEmbedding
from socialsongs.services.queue import queue_songs


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--release", help="encode only for this release")
        parser.add_argument("--song", nargs="+", type=uuid.UUID, help="encode only these songs")

    def handle(self, *args: Any, release: str | None, song: list[uuid.UUID] | None, **options: Any) -> None:
        rows = SongEmbedding.objects.all()
        if release:
            rows = rows.filter(release__name=release)
        if song:
            rows = rows.filter(song__in=song)
        self.stdout.write(f"{queue_songs(rows=rows)} songs are queued")
