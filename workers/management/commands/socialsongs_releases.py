"""Manage model releases: register them, have songs encoded for them, build their indexes, activate them.

Needs no PyTorch: it reads cards, and compares the weights with their SHA-256. Each worker that loads the weights checks
whether they fit the network.
"""

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

from recommender.card import ReleaseError, check_weights, read_card, shipped_releases
from socialsongs.broker import BULK
from socialsongs.conf import MIB, config
from socialsongs.models import EMBEDDING_DIM, ModelRelease
from socialsongs.selectors.releases import encoding_coverage
from socialsongs.selectors.shown_lists import choose_rates
from socialsongs.selectors.workers import lanes_without_consumer
from socialsongs.services import releases
from socialsongs.services.indexes import build_indexes, cluster
from socialsongs.services.queue import rerank

WATCH_SECONDS = 0.5  # between two updates of the progress bar


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)

        def add(action: str, does: Callable[..., None], text: str) -> ArgumentParser:
            command: ArgumentParser = commands.add_parser(action, help=text, description=text)
            command.set_defaults(does=does)
            return command

        add("list", self.show, "show the releases that are registered, and how many songs each has encoded")
        command = add(
            "register",
            self.register,
            "check the files of releases and write their rows; the first release becomes active",
        )
        command.add_argument("name", nargs="*", help="default: all releases in the folder")

        command = add(
            "stage", self.stage, "have all songs encoded for a release while the active one goes on answering"
        )
        command.add_argument("name")
        command = add(
            "encode", self.encode, "watch the encoding of songs for a release; limit its rate, pause or resume it"
        )
        command.add_argument("name")
        command.add_argument("--rate", type=float, help="at most so many songs a second; 0: no limit")
        pause_or_resume = command.add_mutually_exclusive_group()
        pause_or_resume.add_argument("--pause", action="store_true", help="encode no songs for it until --resume")
        pause_or_resume.add_argument("--resume", action="store_true", help="go on after --pause")

        command = add(
            "activate",
            self.activate,
            "make a release active; songs are still encoded for the one before, for a rollback",
        )
        command.add_argument("name")
        command.add_argument("--force", action="store_true", help="although not all songs are encoded yet")
        add("rollback", self.rollback, "activate the release that was active before")
        command = add("retire", self.retire, "stop encoding songs for a release")
        command.add_argument("name")

        command = add(
            "rerank", self.rerank, "answer again, in the bulk lane, for posts that an earlier release answered for"
        )
        command.add_argument("--newer", type=float, metavar="DAYS", help="only posts younger than DAYS")
        command.add_argument("--older", type=float, metavar="DAYS", help="only posts older than DAYS")
        command = add(
            "split", self.split, "let a staged release answer for a share of the people; a share of 0 ends the split"
        )
        command.add_argument("active", help="the active release, which answers for the others")
        command.add_argument("staged", help="the staged release")
        command.add_argument(
            "--share", type=int, required=True, help="percentage of the people, 0 to 99; the same people each time"
        )
        command = add("rates", self.rates, "show the choose rate of each release")
        command.add_argument("--days", type=float, help="count only lists shown in the last DAYS", metavar="DAYS")
        command = add(
            "index", self.index, "build or rebuild the HNSW indexes of a release, while searches and writes go on"
        )
        command.add_argument("name")
        _add_memory_option(command)
        text = (
            "sort the embedding rows by cell, before index; locks the table, so that no request is answered meanwhile"
        )
        _add_memory_option(add("cluster", self.cluster, text))

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
        for release_name in name or shipped_releases(_folder()):
            self._print_state(_register(release_name))

    def stage(self, name: str) -> None:
        release = _register(name)
        releases.stage(release=release)
        self._print_state(release)

    def encode(self, name: str, rate: float | None, pause: bool, resume: bool) -> None:
        release = _find(name)
        if release.state == ModelRelease.State.RETIRED:
            raise CommandError(f"{name} is retired: no songs are encoded for it. Stage it first.")
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
        self._print_state(release)

    def rollback(self) -> None:
        self._print_state(releases.rollback())

    def retire(self, name: str) -> None:
        release = _find(name)
        releases.retire(release=release)
        self._print_state(release)

    def rerank(self, newer: float | None, older: float | None) -> None:
        now = timezone.now()
        since = now - timedelta(days=newer) if newer is not None else None
        until = now - timedelta(days=older) if older is not None else None
        self.stdout.write(f"{rerank(since=since, until=until)} posts are queued to be answered again")

    def index(self, name: str, memory: int) -> None:
        release = _find(name)
        for built in build_indexes(release=release, memory_mib=memory):
            done = "built" if built.created else "rebuilt"
            self.stdout.write(f"{name}: {built.name} {done}, {built.bytes / MIB:.1f} MiB")
        self.stdout.write(f"{name}: index done")

    def cluster(self, memory: int) -> None:
        cluster(memory_mib=memory)
        self.stdout.write("The embedding rows are sorted by cell.")

    def split(self, active: str, staged: str, share: int) -> None:
        if _find(active).state != ModelRelease.State.ACTIVE:
            raise CommandError(f"{active} is not active: name the active release first, then the staged one.")
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

    def _print_state(self, release: ModelRelease) -> None:
        release.refresh_from_db()
        self.stdout.write(f"{release.name}: {release.state}")


def _folder() -> Path | None:
    return Path(folder) if (folder := config().RELEASES_DIR) else None


def _find(name: str) -> ModelRelease:
    try:
        return ModelRelease.objects.get(name=name)
    except ModelRelease.DoesNotExist:
        raise CommandError(f"No release {name!r} is registered; see `manage.py socialsongs_releases list`.") from None


def _add_memory_option(command: ArgumentParser) -> None:
    command.add_argument(
        "--memory", type=int, default=1024, metavar="MIB", help="memory to build indexes with; about 1,000 bytes a song"
    )


def _register(name: str) -> ModelRelease:
    card = read_card(name, _folder())
    check_weights(name, card, _folder())
    try:
        dim = card["architecture"]["dim"]
    except (KeyError, TypeError):
        raise ReleaseError(f"The card of release {name!r} does not give the `dim` of its architecture.") from None
    if dim != EMBEDDING_DIM:
        raise ReleaseError(
            f"The vectors of release {name!r} have {dim} dimensions, the database needs {EMBEDDING_DIM}."
        )
    return releases.register(name=name, sha256=card["sha256"], card=card)


def _state(release: ModelRelease) -> str:
    share = [f"share {release.share} %"] if release.share else []
    paused = ["paused"] if release.paused else []
    return ", ".join([str(release.state), *share, *paused])


def _watch(release: ModelRelease) -> None:
    """Show progress until all songs are encoded or refused. Ctrl-C ends the display, not the encoding."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        encoded, total = encoding_coverage(release=release)
        task = bar.add_task(release.name, completed=encoded, total=total)
        if encoded < total and BULK in lanes_without_consumer():
            bar.console.print("No worker takes the bulk lane now: start `manage.py socialsongs_worker`.")
        try:
            while encoded < total:
                time.sleep(WATCH_SECONDS)
                encoded, total = encoding_coverage(release=release)
                bar.update(task, completed=encoded, total=total)
        except KeyboardInterrupt:
            bar.console.print(
                "The workers go on encoding. Run the command again to watch, or with --pause to stop them."
            )
