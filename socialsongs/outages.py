"""Handles servers that fail.

The site works on without cache and broker, whether they are away, full, read-only or hang. Each call has its own
timeout; after a slow failure, a circuit breaker stops calls to that server for some seconds. Without the database
nothing works: clients are asked to try again later.
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

# PostgreSQL's error codes: class 54, program limit exceeded; 25006, a write in a read-only transaction.
LIMIT_EXCEEDED, READ_ONLY = "54", "25006"

# Base errors of cache clients, by module. A module that is not loaded cannot raise any.
CLIENTS = {
    "redis.exceptions": "RedisError",
    "valkey.exceptions": "ValkeyError",
    "django_redis.exceptions": "ConnectionInterrupted",
    "pymemcache.exceptions": "MemcacheError",
    "pylibmc": "Error",
}


class CircuitBreaker:
    """Stops calls to a server for some seconds after a slow failure. The log says ``consequence``."""

    def __init__(self, consequence: str) -> None:
        self.consequence = consequence
        self.reset()

    def reset(self) -> None:
        self._open_until = self._silent_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are stopped at the moment, because the server failed slowly."""
        return time.monotonic() < self._open_until

    def record_failure(self, error: Exception, began: float) -> None:
        """Record that a call failed which began at ``began`` (``time.monotonic()``)."""
        now = time.monotonic()
        if now - began > SLOW_SECONDS:
            self._open_until = now + OPEN_SECONDS
        if now >= self._silent_until:
            self._silent_until = now + LOG_SECONDS
            logger.warning("%s: %s", self.consequence, error)


CACHE = CircuitBreaker("The cache does not work; rates of requests are not limited until it does")


def ask_cache(question: Callable[[], T], otherwise: T) -> T:
    """Return the cache's answer to ``question``, or ``otherwise`` when the cache fails."""
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
    """Return whether the database is away, overloaded or read-only; False when the statement itself was wrong."""
    if not isinstance(error, Error):
        return False
    code = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError):
        return not code.startswith(LIMIT_EXCEEDED)
    return code == READ_ONLY
