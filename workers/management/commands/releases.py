"""Model releases: make known, fill, index, switch."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from rich.console import Console
from rich.table import Table

from recommender.release import ReleaseError, load_release, shipped_releases
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease
from socialsongs.selectors.catalogue import encoding_coverage
from socialsongs.services import releases


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        commands.add_parser("list", help="what the database knows of each release")
        register = commands.add_parser("register", help="check the files of a release and make it known")
        register.add_argument("name", nargs="*", help="default: all in the releases folder")
        commands.add_parser("rollback", help="answer with the release that was active before, at once")
        for action, text in (
            ("activate", "answer new requests with this release; the one before is filled on, for a rollback"),
            ("retire", "encode no more songs for it"),
            ("index", "build its HNSW index, without locking out writers; after the songs are encoded"),
        ):
            command = commands.add_parser(action, help=text)
            command.add_argument("name")
            if action == "activate":
                command.add_argument("--force", action="store_true", help="although songs are not encoded yet")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        name = options.get("name")
        if action == "list":
            self._list()
        elif action == "register":
            self._register(name or shipped_releases(self._folder()))
        elif action == "rollback":
            try:
                self.stdout.write(f"{releases.rollback().name}: active")
            except releases.NotPossible as error:
                raise CommandError(str(error)) from error
        else:
            try:
                release = ModelRelease.objects.get(name=name)
            except ModelRelease.DoesNotExist:
                raise CommandError(f"No release {name!r} is registered; see `manage.py releases list`.") from None
            try:
                if action == "activate":
                    releases.activate(release=release, force=options["force"])
                elif action == "retire":
                    releases.retire(release=release)
                else:
                    self._index(release)
            except releases.NotPossible as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"{release.name}: {action} done")

    def _folder(self) -> Path | None:
        return Path(folder) if (folder := config().RELEASES_DIR) else None

    def _register(self, names: list[str]) -> None:
        for name in names:
            try:
                model = load_release(name, folder=self._folder())
                if model.dim != EMBEDDING_DIM:
                    raise ReleaseError(
                        f"Release {name!r} has vectors of {model.dim} numbers, the database {EMBEDDING_DIM}."
                    )
                release = releases.register(name=name, sha256=model.sha256, card=model.card)
            except (ReleaseError, releases.NotPossible) as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"{release.name}: {release.state}")

    def _list(self) -> None:
        table = Table("name", "state", "encoded", "SHA-256", "registered")
        for release in ModelRelease.objects.all():
            encoded, total = encoding_coverage(release=release)
            table.add_row(
                release.name,
                release.state,
                f"{encoded}/{total}",
                release.sha256[:12],
                f"{release.created_at:%Y-%m-%d %H:%M}",
            )
        Console().print(table)

    def _index(self, release: ModelRelease) -> None:
        """CREATE INDEX CONCURRENTLY cannot run in a transaction; one that was interrupted leaves an invalid index."""
        index = f"socialsongs_hnsw_{release.pk}"
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
            cursor.execute(
                f"CREATE INDEX CONCURRENTLY {index} ON socialsongs_songembedding USING hnsw (stage_one halfvec_ip_ops) "
                f"WHERE release_id = {release.pk} AND stage_one IS NOT NULL"
            )
