"""Load registered releases into this process, and check their files against the database."""

from __future__ import annotations

import gc
import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch

from recommender.card import ReleaseError
from recommender.model import Image2Song
from recommender.release import find_device, load_release
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease

from ..figures import FIGURES
from .passes import MODEL_ERRORS

logger = logging.getLogger(__name__)

KEPT = 3  # models: of the active release, of the one before, and of a staged one
TRY_AGAIN_SECONDS = 4

# By name and SHA-256: when loading this release last failed (monotonic clock), and why.
_failed: dict[tuple[str, str], tuple[float, str]] = {}


@dataclass(frozen=True)
class LoadedRelease:
    """A release and its model in the memory of this process."""

    release: ModelRelease
    model: Image2Song


def load_registered(release: ModelRelease) -> LoadedRelease:
    """Return the release with its model, which stays loaded.

    Raises ReleaseError when it cannot be loaded; for TRY_AGAIN_SECONDS after a failure without trying again.
    """
    key = release.name, release.sha256
    since, problem = _failed.get(key, (0.0, ""))
    if problem and time.monotonic() - since < TRY_AGAIN_SECONDS:
        raise ReleaseError(problem)
    try:
        return LoadedRelease(release, _load(*key))
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
    except (OSError, *MODEL_ERRORS) as error:  # unreadable files, too little device memory, a card with wrong values
        raise ReleaseError(f"Release {name!r} cannot be used: {error!r}") from error
    if model.sha256 != sha256:
        raise ReleaseError(
            f"Release {name!r} on this machine has SHA-256 {model.sha256[:12]}, the database registered {sha256[:12]}. "
            "Install the same release folder on all workers."
        )
    if model.dim != EMBEDDING_DIM:
        raise ReleaseError(
            f"The vectors of release {name!r} have {model.dim} dimensions, the database needs {EMBEDDING_DIM}."
        )
    if model.device.type == "cuda":
        FIGURES.device_memory = partial(torch.cuda.memory_reserved, model.device)
    freeze_garbage_collector()
    logger.info("Release %s is loaded on %s", name, device_name())
    return model


def leave_cores() -> None:
    """Let torch use half of the cores, unless OMP_NUM_THREADS is set; decoding and the database get the others.

    With two cores, a pass over a batch of photos gains little from the second one, and a pass over lyrics gets slower.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))


def freeze_garbage_collector() -> None:
    """Exclude all present objects from garbage collection: scanning a model stops all work for 0.25 s each time."""
    gc.unfreeze()  # so that the collection can free a model that the cache has dropped
    gc.collect()
    gc.freeze()


def device_name() -> str:
    """Return a name of this process's device; a GPU's contains its UUID. Raises ReleaseError when there is none."""
    device = torch.device(find_device(config().DEVICE))
    if device.type != "cuda":
        return str(device)
    properties = torch.cuda.get_device_properties(device)
    return f"cuda:{device.index or 0} {properties.name} {properties.uuid}"[:100]
