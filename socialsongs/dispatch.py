"""The only place that sends work to Celery: by task name, after the commit.

The message carries nothing but "there is work": the rows say what. So a broker that is down costs
time until the reconciler looks, never an upload.
"""

from __future__ import annotations

import time
from functools import cache

from celery import Celery
from django.db import transaction
from kombu.exceptions import OperationalError

from .conf import config
from .outages import CircuitBreaker

DRAIN_INTERACTIVE = "socialsongs.drain_interactive"
DRAIN_BULK = "socialsongs.drain_bulk"
RECONCILE = "socialsongs.reconcile"

# Of our keys on a Redis that others may use, too: another Celery's messages are neither taken nor sent again.
KEY_PREFIX = "socialsongs:"
PATIENCE_SECONDS = 0.5

# Each lane is a queue of its own, so that no photo waits behind the catalogue.
QUEUES = {DRAIN_INTERACTIVE: "interactive", DRAIN_BULK: "bulk", RECONCILE: "maintenance"}


def announce_photos() -> None:
    """After the commit: posts or recommendation requests are queued."""
    transaction.on_commit(lambda: send(DRAIN_INTERACTIVE))


def announce_songs() -> None:
    """After the commit: songs are waiting to be encoded."""
    transaction.on_commit(lambda: send(DRAIN_BULK))


BROKER = CircuitBreaker("The broker takes no wake-ups, work waits for the reconciler")


def send(task: str) -> bool:
    """Put one wake-up on the task's queue; False when the broker did not take it."""
    if BROKER.is_open:
        return False
    began = time.monotonic()
    try:
        _producer(config().BROKER_URL).send_task(task, queue=QUEUES[task], ignore_result=True, retry=False)
    except OperationalError as error:  # what Celery makes of all that brokers and connections raise
        BROKER.record_failure(error, began)
        return False
    return True


@cache
def _producer(broker_url: str) -> Celery:
    app = Celery("socialsongs", broker=broker_url, set_as_current=False)
    # An upload waits for this: one try, no retries of the connection.
    app.conf.broker_connection_timeout = PATIENCE_SECONDS
    app.conf.broker_transport_options = {
        "global_keyprefix": KEY_PREFIX,
        "socket_connect_timeout": PATIENCE_SECONDS,
        "socket_timeout": PATIENCE_SECONDS,
        "max_retries": 0,
    }
    return app
