"""What this process has done since it started, for its heartbeat: batch sizes and seconds per stage."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

INTERACTIVE, BULK = "interactive", "bulk"


class WorkerFigures:
    def __init__(self) -> None:
        self.batches: dict[str, Counter[int]] = {INTERACTIVE: Counter(), BULK: Counter()}
        self.seconds: dict[str, float] = defaultdict(float)
        self.release = ""  # that answered last
        self.device_memory: Callable[[], int] | None = None  # bytes held on a GPU
        self._since: float | None = None

    def batch(self, lane: str, size: int) -> None:
        """One batch of rows of a lane."""
        self.batches[lane][size] += 1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One turn of the drain loop: what lasts too long in it hangs."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began

    @property
    def busy_seconds(self) -> float:
        """How long the present turn has taken so far."""
        since = self._since
        return time.monotonic() - since if since is not None else 0.0

    def as_json(self) -> dict[str, Any]:
        """From the heartbeat's thread: copies, since the work goes on."""
        return {
            "batches": {lane: dict(sizes.copy()) for lane, sizes in self.batches.items()},
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.copy().items()},
            "memory": {"resident": psutil.Process().memory_info().rss}
            | ({"device": self.device_memory()} if self.device_memory else {}),
        }


FIGURES = WorkerFigures()
