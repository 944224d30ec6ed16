"""Run a network over many items: an item may fail, and all together may need more memory than the device has."""

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

GOOD_PASSES = 200  # of the reduced size that must succeed before twice that size is tried
# What torch, numpy and the model raise when the input or the device is at fault.
MODEL_ERRORS = (RuntimeError, ValueError, TypeError, LookupError, MemoryError)
NO_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")


def as_failure(error: Exception) -> Exception:
    """Return OutOfMemory for an error that says that memory ran out, and any other error as it is."""
    if isinstance(error, Outage):
        return error
    # On a CPU torch raises a plain RuntimeError.
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in NO_MEMORY)
    return OutOfMemory(error) if memory else error


class Passes:
    """Run passes over many items, and halve a pass that fails until the failing item is alone.

    ``most``: the number of items in a pass, set when the device runs out of memory; doubled after GOOD_PASSES passes.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self._good = 0

    def run(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        """Return the result of each item, or its exception."""
        results: list[Result | Exception] = []
        size = self.most or max(1, len(items))
        for start in range(0, len(items), size):
            results += self._run_or_halve(work, items[start : start + size])
        return results

    def _run_or_halve(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        try:
            results: list[Result | Exception] = list(work(items))
        except MODEL_ERRORS as error:
            failure = as_failure(error)
        else:
            self._succeeded(len(items))
            return results
        # Outside the handler: its traceback keeps the tensors alive.
        if torch.cuda.is_available():
            _check_gpu()
        if len(items) == 1:
            return [failure]
        middle = len(items) // 2
        if isinstance(failure, OutOfMemory):
            self.most, self._good = min(self.most or middle, middle), 0
            logger.warning("Out of memory with %d items in a pass; a pass takes %d for now", len(items), middle)
        return self._run_or_halve(work, items[:middle]) + self._run_or_halve(work, items[middle:])

    def _succeeded(self, items: int) -> None:
        self._good += items == self.most
        if self.most and self._good > GOOD_PASSES:
            self.most, self._good = 2 * self.most, 0


def _check_gpu() -> None:
    """Free cached memory. Ends the process when its CUDA context is broken: only a new process can use the GPU."""
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    except RuntimeError:
        logger.critical("The GPU fails in this process, which ends now; its rows are claimed again when the leases end")
        os._exit(1)


PHOTO_PASSES, LYRIC_PASSES = Passes(), Passes()
