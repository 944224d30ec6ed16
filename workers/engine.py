"""The model in this process: one for each release, checked against what the database knows of it."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from recommender.model import Image2Song
from recommender.release import ReleaseError, load_release
from socialsongs.conf import config
from socialsongs.models import EMBEDDING_DIM, ModelRelease
from socialsongs.selectors.catalogue import active_release

logger = logging.getLogger(__name__)


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
    logger.info("Release %s is loaded on %s", name, model.device)
    return model


def warm_up() -> None:
    """Load the active release and run it once."""
    from PIL import Image

    release = active_release()
    if release is None:
        logger.warning("No release is active: register one with `manage.py releases register`.")
        return
    model = model_of(release)
    model.analyse([Image.new("RGB", (64, 64), "gray")])
    model.encode(["warm up"])
