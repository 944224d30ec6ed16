"""This process among the workers: a row with a heartbeat.

The heartbeat comes from a thread, since a solo pool does nothing else while a task runs; how long the present batch has
taken is told with it, so that a process that hangs is not taken for a live one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

import psutil
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from socialsongs.conf import config
from socialsongs.dispatch import DRAIN_BULK, DRAIN_INTERACTIVE, QUEUES
from socialsongs.models import Worker

from ..figures import FIGURES

logger = logging.getLogger(__name__)

INFERENCE = {QUEUES[DRAIN_INTERACTIVE], QUEUES[DRAIN_BULK]}


class Presence:
    def __init__(self, name: str, queues: set[str]) -> None:
        self.name = name
        self.queues = queues
        self.state = Worker.State.STARTING
        self.device = self.problem = ""
        self._stop = threading.Event()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._told.set()
        self._thread.join(config().HEARTBEAT_SECONDS)

    def become(self, state: Worker.State, problem: str = "") -> None:
        self.state, self.problem = state, problem
        self._told.set()  # now, not at the next beat

    def _beat(self) -> None:
        first = True
        while not self._stop.is_set():
            try:
                self._write(first)
                first = False
            except (DatabaseError, InterfaceError, RuntimeError, OSError, psutil.Error) as error:
                logger.warning("No heartbeat: %s", error)
                connection.close()
            self._told.wait(config().HEARTBEAT_SECONDS)
            self._told.clear()
        try:
            Worker.objects.filter(name=self.name, pid=os.getpid()).delete()
        except (DatabaseError, InterfaceError):
            logger.warning("The database does not hear of the end of %s; its heartbeat just stops", self.name)
        connection.close()

    def _write(self, first: bool) -> None:
        values: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": sorted(self.queues),
            "device": self.device,
            "release": FIGURES.release,
            "state": self.state,
            "problem": self.problem,
            "busy_seconds": FIGURES.busy_seconds,
            "figures": FIGURES.as_json(),
            "seen_at": Now(),
        } | ({"started_at": Now()} if first else {})
        if first or not Worker.objects.filter(name=self.name).update(**values):
            Worker.objects.update_or_create(name=self.name, defaults=values | {"started_at": Now()})
