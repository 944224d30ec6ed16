"""Figures of this process for its heartbeat: batch sizes and seconds in each stage, since it started."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from socialsongs.broker import BULK, INTERACTIVE


class WorkerFigures:
    """Counted by the threads that work, read by the thread of the heartbeat."""

    def __init__(self) -> None:
        self.batches: dict[str, Counter[int]] = {INTERACTIVE: Counter(), BULK: Counter()}
        self.seconds: dict[str, float] = defaultdict(float)
        self.release = ""  # the name of the active release
        self.device_memory: Callable[[], int] | None = None  # bytes reserved on a GPU
        self._since: float | None = None

    def batch(self, lane: str, size: int) -> None:
        """Count a batch of ``size`` rows of a lane."""
        self.batches[lane][size] += 1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Time one turn of the drain loop: a process whose turn lasts too long does not count as live."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to the seconds of a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began

    @property
    def busy_seconds(self) -> float:
        """Seconds since the present turn began; 0 between turns."""
        since = self._since
        return time.monotonic() - since if since is not None else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values. Copies them first: other threads go on counting."""
        return {
            "batches": {lane: dict(sizes.copy()) for lane, sizes in self.batches.items()},
            "seconds": {stage: round(seconds, 3) for stage, seconds in self.seconds.copy().items()},
            "memory": {"resident": psutil.Process().memory_info().rss}
            | ({"device": self.device_memory()} if self.device_memory else {}),
        }


FIGURES = WorkerFigures()
