"""Servers that fail.

Without cache and broker work goes on, in whatever way they fail: away, full, read-only, or alive but without an answer.
How long a call may hang is said by its own timeouts; a server that was slow to fail is then left alone for some
seconds. Without the database nothing goes on: who asks is told to come back.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error, InterfaceError, OperationalError

logger = logging.getLogger(__name__)

T = TypeVar("T")

SLOW_SECONDS = 0.2
OPEN_SECONDS = 5.0
LOG_SECONDS = 10.0

# PostgreSQL's codes: a statement that is beyond the server's limits, and one that would change what cannot be changed.
TOO_MUCH, READ_ONLY = "54", "25006"

# What the clients of cache servers raise, by module. One that is not loaded raises nothing.
CLIENTS = {
    "redis.exceptions": "RedisError",
    "valkey.exceptions": "ValkeyError",
    "django_redis.exceptions": "ConnectionInterrupted",
    "pymemcache.exceptions": "MemcacheError",
    "pylibmc": "Error",
}


class CircuitBreaker:
    """Stops calls to a server for some seconds after a slow failure. ``consequence`` is what the log says."""

    def __init__(self, consequence: str) -> None:
        self.consequence = consequence
        self.reset()

    def reset(self) -> None:
        self._open_until = self._silent_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the server failed slowly a moment ago, so that it is not to be asked now."""
        return time.monotonic() < self._open_until

    def record_failure(self, error: Exception, began: float) -> None:
        """A call failed that began then, by the monotonic clock."""
        now = time.monotonic()
        if now - began > SLOW_SECONDS:
            self._open_until = now + OPEN_SECONDS
        if now >= self._silent_until:
            self._silent_until = now + LOG_SECONDS
            logger.warning("%s: %s", self.consequence, error)


CACHE = CircuitBreaker("The cache does not work, rates of requests are not limited meanwhile")


def ask_cache(question: Callable[[], T], otherwise: T) -> T:
    """What the cache answers, or ``otherwise`` when it fails."""
    if CACHE.is_open:
        return otherwise
    began = time.monotonic()
    try:
        return question()
    except _failures() as error:
        CACHE.record_failure(error, began)
        return otherwise


def _failures() -> tuple[type[Exception], ...]:
    loaded = [(sys.modules[module], name) for module, name in CLIENTS.items() if module in sys.modules]
    return (OSError, Error, *(getattr(module, name) for module, name in loaded))


def is_outage(error: BaseException | None) -> bool:
    """Whether this says that the database is away, overloaded or takes no changes: not that a statement was wrong."""
    if not isinstance(error, Error):
        return False
    code = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError):
        return not code.startswith(TOO_MUCH)
    return code == READ_ONLY
