"""The model in this process: one for each release, checked against what the database knows of it."""

from __future__ import annotations

import gc
import logging
import os
import time
from functools import lru_cache, partial
from pathlib import Path

import torch

from recommender.model import Image2Song
from recommender.release import ReleaseError, find_device, load_release
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease

from ..figures import FIGURES
from .passes import FAILURES

logger = logging.getLogger(__name__)

KEPT = 3  # models: the active release's, the one before, one that is staged
TRY_AGAIN_SECONDS = 4

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
