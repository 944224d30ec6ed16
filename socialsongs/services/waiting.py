"""Waits a short time for a worker, for clients that would otherwise ask again and again."""

from __future__ import annotations

import time
from math import ceil
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db.models import QuerySet

from ..outages import ask_cache
from ..selectors.workers import ready_workers

if TYPE_CHECKING:
    from ..user_types import Person

POLL_SECONDS = 0.04


def wait_while(*, unfinished: QuerySet[Any], user: Person, seconds: float) -> bool:
    """Wait until ``unfinished`` has no row, or the time is up, by short queries outside a transaction.

    Each waiting call holds a thread of the web server. So it returns False at once when no worker is ready, or when
    this person waits already.
    """
    waiting = f"socialsongs-waiting-{user.pk}"
    if not seconds:
        return False
    if not unfinished.exists():
        return True
    if not ready_workers().exists():
        return False
    if not ask_cache(lambda: cache.add(waiting, 1, timeout=ceil(seconds)), otherwise=False):
        return False
    deadline = time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0 and unfinished.exists():
            time.sleep(min(left, POLL_SECONDS))
    finally:
        ask_cache(lambda: cache.delete(waiting), otherwise=False)
    return True
