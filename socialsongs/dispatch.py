"""Sends wake-ups to Celery, by task name and after the commit; nothing else in this package does.

A wake-up says only that there is work; the rows say which. So a broker that is down delays work until the
reconciler finds the rows, but never loses an upload.
"""

from __future__ import annotations

import time

from kombu.exceptions import OperationalError
from kombu.pools import producers

from .broker import BULK, INTERACTIVE, MAINTENANCE, celery_app, patient_connection, straight_to
from .database import on_commit
from .outages import CircuitBreaker
from .services.wake_ups import record_sender

DRAIN_INTERACTIVE = "socialsongs.drain_interactive"
DRAIN_BULK = "socialsongs.drain_bulk"
RECONCILE = "socialsongs.reconcile"
DELIVER_EVENTS = "socialsongs.deliver_events"

# Each lane is a queue of its own, so that no photo waits behind the catalogue.
LANE_OF = {
    DRAIN_INTERACTIVE: INTERACTIVE,
    DRAIN_BULK: BULK,
    RECONCILE: MAINTENANCE,
    DELIVER_EVENTS: MAINTENANCE,
}

PATIENCE_SECONDS = 0.5  # an upload waits for this


def announce_photos() -> None:
    """Wake the interactive lane after the commit, for queued posts or requests."""
    on_commit(lambda: send(DRAIN_INTERACTIVE))


def announce_songs() -> None:
    """Wake the bulk lane after the commit, for songs to encode or requests that nobody waits for."""
    on_commit(lambda: send(DRAIN_BULK))


def announce_events() -> None:
    """Wake the maintenance worker after the commit, for events that receivers and endpoints shall hear of."""
    on_commit(lambda: send(DELIVER_EVENTS))


BROKER = CircuitBreaker("The broker takes no wake-ups; work waits for the reconciler")


def send(task: str) -> bool:
    """Put one wake-up on the task's queue; False when the broker did not take it."""
    if BROKER.is_open:
        return False
    began = time.monotonic()
    try:
        with producers[patient_connection(patience=PATIENCE_SECONDS)].acquire(block=True) as producer:
            celery_app().send_task(
                task,
                producer=producer,
                **straight_to(LANE_OF[task]),
                serializer="json",
                ignore_result=True,
                retry=False,
            )
    except OperationalError as error:  # Celery wraps all errors of brokers and connections in it
        BROKER.record_failure(error, began)
        return False
    record_sender()
    return True
