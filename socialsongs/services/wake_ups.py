"""Keeps on record where wake-ups are sent to, so that workers' checks see when nobody listens there."""

from __future__ import annotations

import logging
import socket
import time

from django.db import Error
from django.db.models.functions import Now

from ..broker import broker_digest
from ..conf import config
from ..models import WakeUpSender

logger = logging.getLogger(__name__)

EVERY_SECONDS = 20.0
_recorded: dict[tuple[str, str], float] = {}


def record_sender() -> None:
    """Write that this process sends wake-ups to its broker and queues; at most once in EVERY_SECONDS."""
    goal = broker_digest(), config().QUEUE_PREFIX
    if time.monotonic() - _recorded.get(goal, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    _recorded[goal] = time.monotonic()
    row = WakeUpSender(broker=goal[0], queue_prefix=goal[1], host=socket.gethostname()[:200], sent_at=Now())
    try:
        WakeUpSender.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["broker", "queue_prefix"], update_fields=["host", "sent_at"]
        )
    except Error as error:  # the upload is stored and announced
        logger.warning("Where wake-ups are sent to could not be recorded: %s", error)
