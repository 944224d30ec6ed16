"""The row of this worker process, with its heartbeat.

A thread writes the heartbeat, since a solo pool does nothing else while a task runs. The heartbeat says how long the
present turn of the drain loop has taken, so that a process that hangs does not count as live.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

import psutil
from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now

from socialsongs.broker import BULK, INTERACTIVE, broker_digest, queue_name
from socialsongs.conf import config
from socialsongs.database import connection
from socialsongs.models import Worker

from ..figures import FIGURES

logger = logging.getLogger(__name__)


def inference_queues() -> set[str]:
    return {queue_name(INTERACTIVE), queue_name(BULK)}


class Presence:
    """What the heartbeat writes to the row of this process. ``queues``: those that the process consumes.

    ``state``, ``device``, ``problem`` (why it is off duty): written with the next heartbeat; ``become`` writes at once.
    """

    def __init__(self, name: str, queues: set[str]) -> None:
        self.name = name
        self.queues = queues
        self.broker = broker_digest()
        self.state = Worker.State.STARTING
        self.device = self.problem = ""
        self._stop = threading.Event()
        self._news = threading.Event()  # wakes the thread before the next beat
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._news.set()
        self._thread.join(config().HEARTBEAT_SECONDS)

    def become(self, state: Worker.State, problem: str = "") -> None:
        self.state, self.problem = state, problem
        self._news.set()

    def _beat(self) -> None:
        first = True
        while not self._stop.is_set():
            try:
                self._write(first)
                first = False
            except (DatabaseError, InterfaceError, RuntimeError, OSError, psutil.Error) as error:
                logger.warning("The heartbeat could not be written: %s", error)
                connection().close()
            self._news.wait(config().HEARTBEAT_SECONDS)
            self._news.clear()
        try:
            Worker.objects.filter(name=self.name, pid=os.getpid()).delete()
        except (DatabaseError, InterfaceError):
            logger.warning(
                "The row of %s could not be deleted; it counts as gone without further heartbeats", self.name
            )
        connection().close()

    def _write(self, first: bool) -> None:
        values: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": sorted(self.queues),
            "broker": self.broker,
            "device": self.device,
            "release": FIGURES.release,
            "state": self.state,
            "problem": self.problem,
            "busy_seconds": FIGURES.busy_seconds,
            "figures": FIGURES.as_json(),
            "seen_at": Now(),
        }
        if first or not Worker.objects.filter(name=self.name).update(**values):
            Worker.objects.update_or_create(name=self.name, defaults=values | {"started_at": Now()})
