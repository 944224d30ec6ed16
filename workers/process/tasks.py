"""The Celery tasks, and the start and end of a worker process. Inference code is imported only where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.signals import celeryd_after_setup, worker_ready, worker_shutdown

from socialsongs import dispatch
from socialsongs.broker import LANES, queue_name
from socialsongs.models import Worker

from ..checks import pool_errors
from ..lanes import events
from ..lanes import reconcile as reconciler
from .presence import Presence, inference_queues

if TYPE_CHECKING:
    from .duty import Duty


STOP_SECONDS = 5.0  # for receivers and endpoints that are being told of events


class ProcessState:
    """State of this worker process: the signals below set it, the tasks use it."""

    presence: Presence | None = None
    duty: Duty | None = None


def drain_interactive() -> None:
    """Drain the lane for one task's budget; send a new wake-up when work is left."""
    assert ProcessState.duty, "only a worker that Celery has started runs tasks"
    if ProcessState.duty.work(bulk=False):
        dispatch.send(dispatch.DRAIN_INTERACTIVE)


def drain_bulk() -> None:
    """Drain both lanes for one task's budget; send a new wake-up when work is left."""
    assert ProcessState.duty, "only a worker that Celery has started runs tasks"
    if ProcessState.duty.work(bulk=True):
        dispatch.send(dispatch.DRAIN_BULK)


def reconcile() -> None:
    reconciler.reconcile()


def deliver_events() -> None:
    """Make the deliveries of new events and wake the threads that tell receivers and endpoints."""
    events.deliver()


TASKS = {
    dispatch.DRAIN_INTERACTIVE: drain_interactive,
    dispatch.DRAIN_BULK: drain_bulk,
    dispatch.RECONCILE: reconcile,
    dispatch.DELIVER_EVENTS: deliver_events,
}


@celeryd_after_setup.connect
def appear(sender: str, instance: Any, **_: object) -> None:
    """Check the pool options of an inference worker, and start the heartbeat.

    This signal and those below also reach workers of a host that consume none of our queues; they stay as they are.
    """
    queues = {queue_name(lane) for lane in LANES} & set(instance.app.amqp.queues.consume_from)
    if not queues:
        return
    if queues & inference_queues():
        pool = instance.pool_cls if isinstance(instance.pool_cls, str) else instance.pool_cls.__module__.split(".")[-1]
        for error in pool_errors(pool, instance.concurrency):
            raise SystemExit(f"{error.id}: {error.msg}\n{error.hint}")
    ProcessState.presence = Presence(sender, queues)
    ProcessState.presence.begin()


@worker_ready.connect
def go_on_duty(sender: Any, **_: object) -> None:
    """Load the model now, so that the first photo does not wait for it."""
    presence = ProcessState.presence
    if presence and presence.queues & inference_queues():
        from .duty import Duty

        ProcessState.duty = Duty(sender, presence)
    elif presence:
        presence.become(Worker.State.READY)


@worker_shutdown.connect
def disappear(**_: object) -> None:
    if ProcessState.presence:
        events.stop(within=STOP_SECONDS)
        ProcessState.presence.end()
