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

from ..broker import BULK, INTERACTIVE, patient_connection, queue_name
from ..database import connection
from ..models import Worker
from ..selectors.releases import active_release
from ..selectors.workers import (
    deafness,
    lanes_without_consumer,
    listening_workers,
    live_workers,
    ready_workers,
    unheard_senders,
)


def unavailable(problem: str) -> ServiceUnavailable:
    return ServiceUnavailable(problem)  # type: ignore[no-untyped-call]


@dataclass
class Broker(HealthCheck):
    """The broker answers and takes a message."""

    def run(self) -> None:  # type: ignore[override]  # django-health-check runs a plain function on a thread
        with patient_connection(patience=1) as broker:
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
        queues = [queue_name(INTERACTIVE), queue_name(BULK)]
        if listening_workers().filter(release=release.name, queues__overlap=queues).exists():
            return
        _say_who_is_deaf()
        live = live_workers().filter(queues__overlap=queues)
        if refusing := live.filter(state=Worker.State.REFUSING).first():
            raise unavailable(f"{refusing.name} takes no work: see the workers in the admin.")
        if worker := live.first():
            raise unavailable(f"{worker.name} has not loaded the release {release.name} yet.")
        raise unavailable("No inference worker is live: start one, or read its log.")


@dataclass
class Consumers(_DatabaseCheck):
    """Every queue has a ready worker, and so has every broker that wake-ups are sent to."""

    def check(self) -> None:
        if lanes := lanes_without_consumer():
            _say_who_is_deaf()
            raise unavailable(
                f"No ready worker consumes {', '.join(map(queue_name, lanes))}: "
                f"start `manage.py socialsongs_worker {' '.join(lanes)}`."
            )
        if problems := unheard_senders():
            raise unavailable(" ".join(problems))


def _say_who_is_deaf() -> None:
    """Raise when a ready worker would do the work, but does not hear of it."""
    for worker in ready_workers():
        if problem := deafness(worker):
            raise unavailable(problem)
