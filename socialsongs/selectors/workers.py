"""Worker processes, and whether they are live."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from ..broker import LANES, broker_digest, queue_name
from ..conf import config
from ..models import WakeUpSender, Worker

MISSED_BEATS = 4
RECENTLY = timedelta(minutes=1)  # for senders of wake-ups, which write at most every 20 s


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


def listening_workers() -> QuerySet[Worker]:
    """Return the ready workers on the broker that this process sends wake-ups to."""
    return ready_workers().filter(broker=broker_digest())


def lanes_without_consumer() -> list[str]:
    consumed = {queue for worker in listening_workers() for queue in worker.queues}
    return [lane for lane in LANES if queue_name(lane) not in consumed]


def deafness(worker: Worker) -> str:
    """Return why a worker does not hear the wake-ups that this process sends; empty when it does."""
    if worker.broker != broker_digest():
        return (
            f"{worker.name} listens on another broker than the one that wake-ups are sent to: give web and workers the "
            "same BROKER_URL (or CELERY_APP) in SOCIALSONGS, and restart both."
        )
    ours = [queue_name(lane) for lane in LANES]
    if not set(worker.queues) & set(ours):
        return (
            f"{worker.name} consumes {', '.join(worker.queues)}; wake-ups are sent to {', '.join(ours)}: give web and "
            "workers the same QUEUE_PREFIX in SOCIALSONGS, and restart both."
        )
    return ""


def unheard_senders() -> list[str]:
    """Return, for each place that wake-ups are sent to without a live worker that listens there, what to do."""
    listening = list(live_workers())
    problems = []
    for sender in WakeUpSender.objects.filter(sent_at__gt=Now() - RECENTLY).order_by("host"):
        there = [worker for worker in listening if worker.broker == sender.broker]
        if not there:
            problems.append(
                f"{sender.host} sends wake-ups to a broker on which no worker listens: give web and workers the same "
                "BROKER_URL (or CELERY_APP) in SOCIALSONGS, and restart both."
            )
        elif not any(queue.startswith(f"{sender.queue_prefix}.") for worker in there for queue in worker.queues):
            problems.append(
                f"{sender.host} sends wake-ups to the queues {sender.queue_prefix}.*, which no worker consumes: give "
                "web and workers the same QUEUE_PREFIX in SOCIALSONGS, and restart both."
            )
    return problems
