"""Model releases: make known, fill, index, switch."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from recommender.release import ReleaseError, load_release, shipped_releases
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease
from socialsongs.selectors.catalogue import encoding_coverage
from socialsongs.selectors.workers import queues_without_consumer
from socialsongs.services import releases
from socialsongs.services.queue import rerank

WATCH_SECONDS = 0.5


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)

        def add(action: str, does: Callable[..., None], text: str) -> ArgumentParser:
            command: ArgumentParser = commands.add_parser(action, help=text, description=text)
            command.set_defaults(does=does)
            return command

        add("list", self.show, "what the database knows of each release")
        command = add("register", self.register, "check the files of releases and make them known")
        command.add_argument("name", nargs="*", help="default: all in the releases folder")

        command = add("stage", self.stage, "have all songs read for a release, beside the one that answers")
        command.add_argument("name")
        command = add("encode", self.encode, "watch how the songs are read for a release; set the pace, pause, go on")
        command.add_argument("name")
        command.add_argument("--rate", type=float, help="songs a second at most; 0: no limit")
        either = command.add_mutually_exclusive_group()
        either.add_argument("--pause", action="store_true", help="read no more songs for it until --resume")
        either.add_argument("--resume", action="store_true")

        command = add("activate", self.activate, "answer with a release; the one before is filled on, for a rollback")
        command.add_argument("name")
        command.add_argument("--force", action="store_true", help="although songs are not encoded yet")
        add("rollback", self.rollback, "answer with the release that was active before, at once")
        command = add("retire", self.retire, "read no more songs for a release")
        command.add_argument("name")

        command = add("rerank", self.rerank, "answer anew for posts of earlier releases, beside the catalogue's work")
        command.add_argument("--newer", type=float, metavar="DAYS", help="only posts younger than that")
        command.add_argument("--older", type=float, metavar="DAYS", help="only posts older than that")
        command = add("index", self.index, "build the HNSW index, without locking out writers; after songs are encoded")
        command.add_argument("name")

    def handle(self, *args: Any, does: Callable[..., None], **options: Any) -> None:
        try:
            does(**{key: value for key, value in options.items() if key in PARAMETERS})
        except (ReleaseError, releases.NotPossible) as error:
            raise CommandError(str(error)) from error

    def show(self) -> None:
        table = Table("name", "state", "encoded", "SHA-256", "registered")
        for release in ModelRelease.objects.all():
            encoded, total = encoding_coverage(release=release)
            table.add_row(
                release.name,
                f"{release.state}, paused" if release.paused else release.state,
                f"{encoded}/{total}",
                release.sha256[:12],
                f"{release.created_at:%Y-%m-%d %H:%M}",
            )
        Console().print(table)

    def register(self, name: list[str]) -> None:
        for one in name or shipped_releases(_folder()):
            release = _register(one)
            self._say(release)

    def stage(self, name: str) -> None:
        release = _register(name)
        releases.stage(release=release)
        self._say(release)

    def encode(self, name: str, rate: float | None, pause: bool, resume: bool) -> None:
        release = _find(name)
        if release.state == ModelRelease.State.RETIRED:
            raise CommandError(f"{name} is retired: no songs are read for it. Stage it first.")
        if rate is not None:
            releases.limit(release=release, songs_per_second=rate or None)
        if pause or resume:
            releases.pause(release=release, paused=pause)
        release.refresh_from_db()
        if release.paused:
            encoded, total = encoding_coverage(release=release)
            self.stdout.write(f"{name}: paused at {encoded} of {total} songs; go on with --resume")
            return
        _watch(release)
        encoded, total = encoding_coverage(release=release)
        self.stdout.write(f"{name}: {encoded} of {total} songs are encoded")

    def activate(self, name: str, force: bool) -> None:
        release = _find(name)
        releases.activate(release=release, force=force)
        self._say(release)

    def rollback(self) -> None:
        self._say(releases.rollback())

    def retire(self, name: str) -> None:
        release = _find(name)
        releases.retire(release=release)
        self._say(release)

    def rerank(self, newer: float | None, older: float | None) -> None:
        now = timezone.now()
        since = now - timedelta(days=newer) if newer is not None else None
        until = now - timedelta(days=older) if older is not None else None
        self.stdout.write(f"{rerank(since=since, until=until)} posts are queued to be answered anew")

    def index(self, name: str) -> None:
        """CREATE INDEX CONCURRENTLY cannot run in a transaction; one that was interrupted leaves an invalid index."""
        release = _find(name)
        index = f"socialsongs_hnsw_{release.pk}"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {index} ON socialsongs_songembedding USING hnsw (stage_one halfvec_ip_ops) "
                f"WHERE release_id = {release.pk} AND stage_one IS NOT NULL"
            )
        self.stdout.write(f"{name}: index done")

    def _say(self, release: ModelRelease) -> None:
        release.refresh_from_db()
        self.stdout.write(f"{release.name}: {release.state}")


PARAMETERS = {"name", "rate", "pause", "resume", "force", "newer", "older"}


def _folder() -> Path | None:
    return Path(folder) if (folder := config().RELEASES_DIR) else None


def _find(name: str) -> ModelRelease:
    try:
        return ModelRelease.objects.get(name=name)
    except ModelRelease.DoesNotExist:
        raise CommandError(f"No release {name!r} is registered; see `manage.py releases list`.") from None


def _register(name: str) -> ModelRelease:
    model = load_release(name, folder=_folder())
    if model.dim != EMBEDDING_DIM:
        raise ReleaseError(f"Release {name!r} has vectors of {model.dim} numbers, the database {EMBEDDING_DIM}.")
    return releases.register(name=name, sha256=model.sha256, card=model.card)


def _watch(release: ModelRelease) -> None:
    """Until all songs are dealt with. Ctrl-C ends the watching, not the reading."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        encoded, total = encoding_coverage(release=release)
        task = bar.add_task(release.name, completed=encoded, total=total)
        if encoded < total and "bulk" in queues_without_consumer():
            bar.console.print("No worker consumes the bulk queue at this moment: start one.")
        try:
            while encoded < total:
                time.sleep(WATCH_SECONDS)
                encoded, total = encoding_coverage(release=release)
                bar.update(task, completed=encoded, total=total)
        except KeyboardInterrupt:
            bar.console.print("The workers go on; watch again with the same command, or stop them with --pause.")
