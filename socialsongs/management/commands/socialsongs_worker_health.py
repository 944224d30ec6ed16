"""Check that a worker is live, for the health check of its container; fail with the reason otherwise."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.db.models import F
from django.db.models.functions import Now

from socialsongs.conf import config
from socialsongs.models import Worker
from socialsongs.selectors.workers import all_workers, deafness, unheard_senders


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = []  # a health check runs often

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="Celery's node name (default: every worker of this host)")
        parser.add_argument("--ready", action="store_true", help="also require that it takes work")

    def handle(self, *args: Any, name: str | None, ready: bool, **options: Any) -> None:
        host = socket.gethostname()
        chosen = all_workers().filter(name=name) if name else all_workers().filter(host=host)
        try:
            workers = [(row, row.live, row.silent) for row in chosen.annotate(silent=Now() - F("seen_at"))]
        except Error as error:
            raise CommandError(f"The database does not answer: {error}") from error
        if not workers:
            whom = f"called {name}" if name else f"on {host}"
            raise CommandError(f"There is no worker {whom}, or it has not written its first heartbeat yet.")
        problems = [_problem(*worker, ready=ready) for worker in workers]
        if ready:
            problems += unheard_senders()
        if any(problems):
            raise CommandError("\n".join(filter(None, problems)))
        self.stdout.write(", ".join(f"{row.name} is {row.state}" for row, _, _ in workers))


def _problem(worker: Worker, live: bool, silent: timedelta, *, ready: bool) -> str:
    if not live:
        if worker.busy_seconds >= config().VISIBILITY_TIMEOUT_SECONDS:
            return f"{worker.name}: its batch hangs for {worker.busy_seconds:.0f} s."
        return f"{worker.name}: its last heartbeat was {silent.total_seconds():.0f} s ago."
    if ready and worker.state != Worker.State.READY:
        return f"{worker.name} is {worker.state}{f': {worker.problem}' if worker.problem else ''}"
    return deafness(worker) if ready else ""
