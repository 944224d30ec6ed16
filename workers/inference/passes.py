"""Forward passes over batches, of which some items may fail or not fit into the device's memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from ..failures import Outage, OutOfMemory

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]

GOOD_PASSES = 200  # as large as they may be, before larger ones are tried again
# What a library raises over what it is given, or over a device.
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, MemoryError)
NO_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


def as_failure(error: Exception) -> Exception:
    """What went wrong with one item; OutOfMemory in the place of what the library calls it."""
    if isinstance(error, Outage):
        return error
    # On a CPU torch raises a plain RuntimeError.
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in NO_MEMORY)
    return OutOfMemory(error) if memory else error


class Passes:
    """Forward passes over many items. What fails is halved, down to the item that is to blame.

    ``most``: how many fitted when the device last ran out of memory; after a while, more are tried again.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self._good = 0

    def run(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        """One result for each item; in the place of one that failed, why."""
        found: list[Result | Exception] = []
        size = self.most or max(1, len(items))
        for start in range(0, len(items), size):
            found += self._part(work, items[start : start + size])
        return found

    def _part(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        try:
            done: list[Result | Exception] = list(work(items))
        except FAILURES as error:
            failure = as_failure(error)
        else:
            self._succeeded(len(items))
            return done
        # Outside of the handler, whose traceback would hold on to the tensors.
        if torch.cuda.is_available():
            _look_after_gpu()
        if len(items) == 1:
            return [failure]
        middle = len(items) // 2
        if isinstance(failure, OutOfMemory):
            self.most, self._good = min(self.most or middle, middle), 0
            logger.warning("The device ran out of memory over %d items; a pass holds %d for now", len(items), middle)
        return self._part(work, items[:middle]) + self._part(work, items[middle:])

    def _succeeded(self, items: int) -> None:
        self._good += items == self.most
        if self.most and self._good > GOOD_PASSES:
            self.most, self._good = 2 * self.most, 0


def _look_after_gpu() -> None:
    """Give back what is free. A GPU whose context is broken answers nothing until its process has gone."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        logger.critical("The GPU does not work any more in this process, which ends; the rows' leases run out")
        os._exit(1)


LOOKS, READS = Passes(), Passes()
