"""Run a worker: it analyses photos, answers requests, encodes songs, and finds rows that wait without a wake-up."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from socialsongs.broker import LANES, MAINTENANCE


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "lanes",
            nargs="*",
            choices=[*LANES, []],
            metavar="LANE",
            help="which work it does: interactive, bulk (both with the model), maintenance (the reconciler, without "
            "torch); default: all",
        )
        parser.add_argument(
            "--name",
            help="name of this process, NAME@HOST; %%h is the host (default: inference@%%h, or maintenance@%%h)",
        )
        parser.add_argument("--loglevel", default="INFO", help="default: INFO")

    def handle(self, *args: Any, lanes: list[str], name: str | None, loglevel: str, **options: Any) -> None:
        if lanes != [MAINTENANCE]:
            try:
                import workers.installed  # noqa: F401
            except ModuleNotFoundError as error:
                raise CommandError(str(error)) from error
        from workers.process.starting import run  # Celery's worker takes a while to load: not for --help

        default = "maintenance@%h" if lanes == [MAINTENANCE] else "inference@%h"
        sys.exit(run(lanes or LANES, name=name or default, loglevel=loglevel))
