"""Worker processes, and whether they are live."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from ..conf import config
from ..dispatch import QUEUES
from ..models import Worker

MISSED_BEATS = 4


def live_workers() -> QuerySet[Worker]:
    """Return the workers with a recent heartbeat whose present batch does not hang."""
    since = Now() - timedelta(seconds=MISSED_BEATS * config().HEARTBEAT_SECONDS)
    return Worker.objects.filter(seen_at__gt=since, busy_seconds__lt=config().VISIBILITY_TIMEOUT_SECONDS)


def all_workers() -> QuerySet[Any]:
    """Return all workers that have a row, annotated with ``live``."""
    return Worker.objects.annotate(live=Exists(live_workers().filter(pk=OuterRef("pk"))))


def earlier_workers_on(*, device: str, host: str, name: str) -> QuerySet[Worker]:
    """Return live workers that took the same GPU earlier; none for a CPU, which workers can share."""
    if not device.startswith("cuda"):
        return Worker.objects.none()
    before = Worker.objects.filter(name=name).values("started_at")
    holding = live_workers().filter(device=device, host=host).exclude(state=Worker.State.REFUSING)
    return holding.exclude(name=name).exclude(started_at__gt=Subquery(before))


def ready_workers() -> QuerySet[Worker]:
    return live_workers().filter(state=Worker.State.READY)


def queues_without_consumer() -> list[str]:
    consumed = {queue for worker in ready_workers() for queue in worker.queues}
    return sorted(set(QUEUES.values()) - consumed)
