"""The model in this process: one for each release, checked against what the database knows of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import torch

from recommender.model import Image2Song
from recommender.release import ReleaseError, load_release
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease

from .figures import FIGURES

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], Sequence[Result]]


class OutOfMemory(Exception):
    """Not even one item fits on the device at this moment."""


def model_of(release: ModelRelease) -> Image2Song:
    """The loaded model of a release. Raises ReleaseError when its files are missing or not the registered ones."""
    return _load(release.name, release.sha256)


@cache
def _load(name: str, sha256: str) -> Image2Song:
    folder = config().RELEASES_DIR
    model = load_release(name, folder=Path(folder) if folder else None, device=config().DEVICE)
    if model.sha256 != sha256:
        raise ReleaseError(
            f"Release {name!r} on this machine has SHA-256 {model.sha256[:12]}, the database registered {sha256[:12]}. "
            "Install the same release folder on all workers."
        )
    if model.dim != EMBEDDING_DIM:
        raise ReleaseError(f"Release {name!r} has vectors of {model.dim} numbers, the database {EMBEDDING_DIM}.")
    logger.info("Release %s is loaded on %s", name, device_name(model))
    if model.device.type == "cpu":
        leave_cores()
    if model.device.type == "cuda":
        FIGURES.device_memory = partial(torch.cuda.memory_reserved, model.device)
    model.warm_up(config().INTERACTIVE_BATCH)
    return model


def leave_cores() -> None:
    """Half of the cores for decoding and for the database, unless OMP_NUM_THREADS says otherwise.

    A pass over a batch of photos hardly gains by the second of two, and one over lyrics loses by waiting for it.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))


def device_name(model: Image2Song) -> str:
    """As torch names it, with the GPU's own name."""
    if model.device.type != "cuda":
        return str(model.device)
    return f"cuda:{model.device.index or 0} {torch.cuda.get_device_name(model.device)}"


class Passes:
    """Forward passes over many items. What fails is halved, down to the item that is to blame.

    ``most``: how many fitted when the device last ran out of memory; later passes hold no more.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def run(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        """One result for each item; in the place of one that failed, why."""
        found: list[Result | Exception] = []
        size = self.most or max(1, len(items))
        for start in range(0, len(items), size):
            found += self._part(work, items[start : start + size])
        return found

    def _part(self, work: Work[Item, Result], items: Sequence[Item]) -> list[Result | Exception]:
        try:
            return list(work(items))
        except (RuntimeError, ValueError, MemoryError) as error:
            failure: Exception = error
        # Outside of the handler, whose traceback would hold on to the tensors.
        memory = _is_out_of_memory(failure)
        if memory:
            failure = OutOfMemory(str(failure))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if len(items) == 1:
            return [failure]
        middle = len(items) // 2
        if memory:
            self.most = min(self.most or middle, middle)
            logger.warning("The device ran out of memory over %d items; no pass holds more than %d", len(items), middle)
        return self._part(work, items[:middle]) + self._part(work, items[middle:])


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


LOOKS, READS = Passes(), Passes()
