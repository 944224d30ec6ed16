"""Sends wake-ups to Celery, by task name and after the commit; nothing else in this package does.

A wake-up says only that there is work; the rows say which. So a broker that is down delays work until the
reconciler finds the rows, but never loses an upload.
"""

from __future__ import annotations

import time
from functools import cache

from celery import Celery
from kombu.exceptions import OperationalError

from .conf import config
from .database import on_commit
from .outages import CircuitBreaker

DRAIN_INTERACTIVE = "socialsongs.drain_interactive"
DRAIN_BULK = "socialsongs.drain_bulk"
RECONCILE = "socialsongs.reconcile"
DELIVER_EVENTS = "socialsongs.deliver_events"

# Prefix of our keys, because others may use the same Redis: workers neither take nor redeliver their messages.
KEY_PREFIX = "socialsongs:"
PATIENCE_SECONDS = 0.5

# Each lane is a queue of its own, so that no photo waits behind the catalogue.
QUEUES = {
    DRAIN_INTERACTIVE: "interactive",
    DRAIN_BULK: "bulk",
    RECONCILE: "maintenance",
    DELIVER_EVENTS: "maintenance",
}


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
        _producer(config().BROKER_URL).send_task(task, queue=QUEUES[task], ignore_result=True, retry=False)
    except OperationalError as error:  # Celery wraps all errors of brokers and connections in it
        BROKER.record_failure(error, began)
        return False
    return True


@cache
def _producer(broker_url: str) -> Celery:
    app = Celery("socialsongs", broker=broker_url, set_as_current=False)
    # An upload waits for this, so the connection is tried once.
    app.conf.broker_connection_timeout = PATIENCE_SECONDS
    app.conf.broker_transport_options = {
        "global_keyprefix": KEY_PREFIX,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "socket_timeout": PATIENCE_SECONDS,
        "max_retries": 0,
    }
    return app
