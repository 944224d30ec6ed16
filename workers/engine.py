"""The model in this process: one for each release, checked against what the database knows of it."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import torch

from recommender.model import Image2Song
from recommender.release import ReleaseError, find_device, load_release
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease

from .failures import Outage, OutOfMemory
from .figures import FIGURES

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]


KEPT = 3  # models: the active release's, the one before, one that is staged
TRY_AGAIN_SECONDS = 4
GOOD_PASSES = 200  # as large as they may be, before larger ones are tried again
# What a library raises over what it is given, or over a device.
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, MemoryError)
NO_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")

_failed: dict[tuple[str, str], tuple[float, str]] = {}


def model_of(release: ModelRelease) -> Image2Song:
    """The loaded model of a release. Raises ReleaseError when it cannot be loaded; the next seconds say so, too."""
    key = release.name, release.sha256
    since, problem = _failed.get(key, (0.0, ""))
    if problem and time.monotonic() - since < TRY_AGAIN_SECONDS:
        raise ReleaseError(problem)
    try:
        return _load(*key)
    except ReleaseError as error:
        _failed[key] = time.monotonic(), str(error)
        raise


@lru_cache(KEPT)
def _load(name: str, sha256: str) -> Image2Song:
    folder = config().RELEASES_DIR
    try:
        model = load_release(name, folder=Path(folder) if folder else None, device=config().DEVICE)
        if model.device.type == "cpu":
            leave_cores()
        model.warm_up(config().INTERACTIVE_BATCH)
    except (OSError, *FAILURES) as error:  # not readable, no room on the device, a card that makes no sense
        raise ReleaseError(f"Release {name!r} cannot be used: {error!r}") from error
    if model.sha256 != sha256:
        raise ReleaseError(
            f"Release {name!r} on this machine has SHA-256 {model.sha256[:12]}, the database registered {sha256[:12]}. "
            "Install the same release folder on all workers."
        )
    if model.dim != EMBEDDING_DIM:
        raise ReleaseError(f"Release {name!r} has vectors of {model.dim} numbers, the database {EMBEDDING_DIM}.")
    if model.device.type == "cuda":
        FIGURES.device_memory = partial(torch.cuda.memory_reserved, model.device)
    spare_collector()
    logger.info("Release %s is loaded on %s", name, device_name())
    return model


def leave_cores() -> None:
    """Half of the cores for decoding and for the database, unless OMP_NUM_THREADS says otherwise.

    A pass over a batch of photos hardly gains by the second of two, and one over lyrics loses by waiting for it.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))


def spare_collector() -> None:
    """What is in memory by now is there to stay: the garbage collector would stop all work for a quarter of a second
    whenever it looked through it again."""
    gc.unfreeze()  # a model that had to go since the last time
    gc.collect()
    gc.freeze()


def device_name() -> str:
    """The device of this process, by a name that no other one has. Raises ReleaseError when it is not there."""
    device = torch.device(find_device(config().DEVICE))
    if device.type != "cuda":
        return str(device)
    about = torch.cuda.get_device_properties(device)
    return f"cuda:{device.index or 0} {about.name} {about.uuid}"[:100]


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
