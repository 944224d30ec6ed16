"""Whether an inference worker is on duty: the active release, if any, is loaded, and its GPU is its own."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError

from recommender.card import ReleaseError
from socialsongs.database import connection
from socialsongs.models import Worker
from socialsongs.selectors.releases import active_release
from socialsongs.selectors.workers import earlier_workers_on

from ..figures import FIGURES
from ..inference.loading import device_name, load_registered
from ..lanes.drain import drain
from .presence import Presence, inference_queues

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5


class Duty:
    """Checks the release and the device every CHECK_SECONDS, and stops or resumes consuming the inference queues.

    ``consumer``: that of Celery.
    """

    def __init__(self, consumer: Any, presence: Presence) -> None:
        self.consumer = consumer
        self.presence = presence
        consumer.timer.call_repeatedly(CHECK_SECONDS, self.check)
        self.check()

    def work(self, *, bulk: bool) -> bool:
        """Drain the interactive lane, with ``bulk`` both lanes; return True when work is left for any worker."""
        if self.presence.state == Worker.State.REFUSING:
            return True
        try:
            return drain(bulk=bulk)
        except ReleaseError as error:
            self.refuse(str(error))
            return True

    def check(self) -> None:
        """Load the active release, and go on or off duty."""
        presence = self.presence
        try:
            presence.device = device_name()
            if others := earlier_workers_on(device=presence.device, host=socket.gethostname(), name=presence.name):
                raise ReleaseError(  # handled below as a release that cannot be loaded
                    f"Worker {others[0].name} (process {others[0].pid}) uses {presence.device} already: one inference "
                    "process for each device. Stop one of them, or set SOCIALSONGS_DEVICE."
                )
            release = active_release()
            if release is None:
                logger.warning("No release is active: register one with `manage.py socialsongs_releases register`.")
            else:
                with FIGURES.turn():
                    load_registered(release)
                FIGURES.release = release.name
        except ReleaseError as error:
            self.refuse(str(error))
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database is away: %s", error)
            connection().close()
        else:
            if presence.state != Worker.State.READY:
                logger.info("%s is ready, on %s", presence.name, presence.device)
                if presence.state == Worker.State.REFUSING:
                    self._each_queue(self.consumer.add_task_queue)
            presence.become(Worker.State.READY)

    def refuse(self, problem: str) -> None:
        """Go off duty until ``check`` finds no problem; meanwhile other workers get the messages."""
        if self.presence.state != Worker.State.REFUSING:
            self._each_queue(self.consumer.cancel_task_queue)
        if self.presence.problem != problem:
            logger.error("%s takes no work: %s", self.presence.name, problem)
        self.presence.become(Worker.State.REFUSING, problem)

    def _each_queue(self, change: Callable[[str], Any]) -> None:
        for queue in sorted(inference_queues() & self.presence.queues):
            change(queue)
