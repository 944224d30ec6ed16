"""Model releases: make known, fill, index, switch."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from recommender.release import ReleaseError, load_release, shipped_releases
from socialsongs.conf import MIB, config
from socialsongs.models import EMBEDDING_DIM, ModelRelease
from socialsongs.selectors.releases import encoding_coverage
from socialsongs.selectors.shown_lists import choose_rates
from socialsongs.selectors.workers import queues_without_consumer
from socialsongs.services import releases
from socialsongs.services.indexes import build_indexes, cluster
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
        command = add("split", self.split, "try a staged release on a share of the people; 0 ends it")
        command.add_argument("active", help="the release that answers for the others")
        command.add_argument("staged", help="the release that is tried")
        command.add_argument("--share", type=int, required=True, help="of a hundred people, always the same ones")
        command = add("rates", self.rates, "how often people choose a song, by release")
        command.add_argument("--days", type=float, help="of the lists shown in so many days")
        command = add("index", self.index, "build or rebuild the HNSW indexes, while searches and writes go on")
        command.add_argument("name")
        _needs_memory(command)
        text = "before the index: lay songs' embeddings next to their neighbours; nobody is answered meanwhile"
        _needs_memory(add("cluster", self.cluster, text))

    def handle(self, *args: Any, does: Callable[..., None], **options: Any) -> None:
        try:
            does(**{name: options[name] for name in signature(does).parameters})
        except (ReleaseError, releases.NotPossible) as error:
            raise CommandError(str(error)) from error

    def show(self) -> None:
        table = Table("name", "state", "encoded", "SHA-256", "registered")
        for release in ModelRelease.objects.all():
            encoded, total = encoding_coverage(release=release)
            table.add_row(
                release.name,
                _state(release),
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

    def index(self, name: str, memory: int) -> None:
        release = _find(name)
        for built in build_indexes(release=release, memory_mib=memory):
            done = "built" if built.anew else "rebuilt"
            self.stdout.write(f"{name}: {built.name} {done}, {built.bytes / MIB:.1f} MiB")
        self.stdout.write(f"{name}: index done")

    def cluster(self, memory: int) -> None:
        cluster(memory_mib=memory)
        self.stdout.write("embeddings lie in order")

    def split(self, active: str, staged: str, share: int) -> None:
        if _find(active).state != ModelRelease.State.ACTIVE:
            raise CommandError(f"{active} is not active: a release is tried beside the one that answers.")
        releases.split(release=_find(staged), share=share)
        self.stdout.write(
            f"{staged} answers for {share} of a hundred people, {active} for the others"
            if share
            else f"{active} answers for all people"
        )
        self.rates(days=None)

    def rates(self, days: float | None) -> None:
        since = timezone.now() - timedelta(days=days) if days is not None else None
        table = Table("release", "lists shown", "with a choice", "choose rate", "95 % interval")
        for rate in choose_rates(since=since):
            interval = f"{rate.low:.1%} to {rate.high:.1%}"
            table.add_row(rate.release, str(rate.lists), str(rate.chosen), f"{rate.rate:.1%}", interval)
        Console().print(table)

    def _say(self, release: ModelRelease) -> None:
        release.refresh_from_db()
        self.stdout.write(f"{release.name}: {release.state}")


def _folder() -> Path | None:
    return Path(folder) if (folder := config().RELEASES_DIR) else None


def _find(name: str) -> ModelRelease:
    try:
        return ModelRelease.objects.get(name=name)
    except ModelRelease.DoesNotExist:
        raise CommandError(f"No release {name!r} is registered; see `manage.py releases list`.") from None


def _needs_memory(command: ArgumentParser) -> None:
    command.add_argument("--memory", type=int, default=1024, metavar="MIB", help="to build indexes; 1,000 bytes a song")


def _register(name: str) -> ModelRelease:
    model = load_release(name, folder=_folder())
    if model.dim != EMBEDDING_DIM:
        raise ReleaseError(f"Release {name!r} has vectors of {model.dim} numbers, the database {EMBEDDING_DIM}.")
    return releases.register(name=name, sha256=model.sha256, card=model.card)


def _state(release: ModelRelease) -> str:
    more = [f"share {release.share} %"] if release.share else []
    return ", ".join([str(release.state), *more, *(["paused"] if release.paused else [])])


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
