"""Thin adapters from messages to the work. The model is imported only where it is used."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from socialsongs import dispatch

from . import reconcile as reconciler


@shared_task(name=dispatch.DRAIN_INTERACTIVE)
def drain_interactive() -> None:
    from .drain import drain

    if drain(bulk=False):
        dispatch.send(dispatch.DRAIN_INTERACTIVE)


@shared_task(name=dispatch.DRAIN_BULK)
def drain_bulk() -> None:
    from .drain import drain

    if drain(bulk=True):
        dispatch.send(dispatch.DRAIN_BULK)


@shared_task(name=dispatch.RECONCILE)
def reconcile() -> None:
    reconciler.reconcile()


@worker_ready.connect
def load_model(sender: Any, **_: object) -> None:
    """Before the first photo, not during it."""
    if "interactive" in {queue.name for queue in sender.task_consumer.queues}:
        from .engine import warm_up

        warm_up()
