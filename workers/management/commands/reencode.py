"""Queue songs to be encoded again."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models.functions import Now

from socialsongs import dispatch
from socialsongs.models import SongEmbedding, State


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--release", help="only for this release")
        parser.add_argument("--failed", action="store_true", help="only those that failed")
        parser.add_argument("--song", nargs="+", type=uuid.UUID, help="only these songs")

    def handle(
        self, *args: Any, release: str | None, failed: bool, song: list[uuid.UUID] | None, **options: Any
    ) -> None:
        rows = SongEmbedding.objects.all()
        if release:
            rows = rows.filter(release__name=release)
        if failed:
            rows = rows.filter(state=State.FAILED)
        if song:
            rows = rows.filter(song__in=song)
        with transaction.atomic():
            count = rows.update(state=State.QUEUED, reason="", attempts=0, queued_at=Now(), lease_token=None)
            dispatch.announce_songs()
        self.stdout.write(f"{count} songs are queued")
