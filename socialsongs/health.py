"""Checks for django-health-check: the broker takes wake-ups, and workers are there to do the work.

Anybody can read the results, so they name no paths, passwords or problems of the model's files.
"""

from __future__ import annotations

import uuid
from abc import abstractmethod
from dataclasses import dataclass

from django.db import Error
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable
from kombu import Connection, Queue
from kombu.exceptions import OperationalError

from .conf import config
from .database import connection
from .dispatch import DRAIN_BULK, DRAIN_INTERACTIVE, KEY_PREFIX, QUEUES
from .models import Worker
from .selectors.releases import active_release
from .selectors.workers import live_workers, queues_without_consumer, ready_workers


def unavailable(problem: str) -> ServiceUnavailable:
    return ServiceUnavailable(problem)  # type: ignore[no-untyped-call]


@dataclass
class Broker(HealthCheck):
    """The broker answers and takes a message."""

    def run(self) -> None:  # type: ignore[override]  # django-health-check runs a plain function on a thread
        limits = {"global_keyprefix": KEY_PREFIX, "socket_connect_timeout": 1, "socket_timeout": 1}
        with Connection(config().BROKER_URL, connect_timeout=1, transport_options=limits) as broker:
            try:
                broker.ensure_connection(max_retries=1, interval_start=0)
            except OperationalError as error:
                raise unavailable(
                    "The broker cannot be reached. Start it, or correct BROKER_URL; "
                    "until then work waits for the reconciler."
                ) from error
            try:
                self._put_and_delete(broker)
            except (*broker.recoverable_connection_errors, *broker.recoverable_channel_errors) as error:
                raise unavailable(
                    "The broker takes no messages: is it full, or a read-only replica? "
                    "Until it does, work waits for the reconciler."
                ) from error

    def _put_and_delete(self, broker: Connection) -> None:
        """Use a queue of this check's own, which the broker deletes when this process dies."""
        queue = Queue(f"socialsongs-health-{uuid.uuid4()}", durable=False, auto_delete=True, expires=60)
        with broker.channel() as channel, broker.Producer(channel) as producer:
            bound = queue(channel)
            bound.declare()
            producer.publish("?", routing_key=queue.name, retry=False)
            bound.purge()
            bound.delete()


@dataclass
class _DatabaseCheck(HealthCheck):
    """A check by database rows. Its thread has no connection yet and must not leave one open."""

    def run(self) -> None:  # type: ignore[override]
        try:
            with connection().temporary_connection():
                self.check()
        except Error as error:
            raise unavailable("The database does not answer.") from error

    @abstractmethod
    def check(self) -> None: ...


@dataclass
class Workers(_DatabaseCheck):
    """A live worker has loaded the active release."""

    def check(self) -> None:
        release = active_release()
        if release is None:
            raise unavailable("No release is active: register one with `manage.py socialsongs_releases register`.")
        if ready_workers().filter(release=release.name).exists():
            return
        live = live_workers().filter(queues__overlap=[QUEUES[DRAIN_INTERACTIVE], QUEUES[DRAIN_BULK]])
        if refusing := live.filter(state=Worker.State.REFUSING).first():
            raise unavailable(f"{refusing.name} takes no work: see the workers in the admin.")
        if worker := live.first():
            raise unavailable(f"{worker.name} has not loaded the release {release.name} yet.")
        raise unavailable("No inference worker is live: start one, or read its log.")


@dataclass
class Consumers(_DatabaseCheck):
    """Every queue has a ready worker."""

    def check(self) -> None:
        if queues := queues_without_consumer():
            raise unavailable(f"No ready worker consumes {', '.join(queues)}: start one with these queues (-Q).")
