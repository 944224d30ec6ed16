"""Which release answers for whom: the active one, but for the share of people that a staged one is tried on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recommender.model import Image2Song
from recommender.release import ReleaseError
from socialsongs.models import ModelRelease
from socialsongs.selectors.releases import serving_releases

from .loading import model_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A release that answers, and its model."""

    release: ModelRelease
    model: Image2Song


@dataclass(frozen=True)
class Serving:
    """``beside``: staged releases that are tried on a share of the people."""

    active: Served
    beside: Sequence[Served] = ()

    def of(self, person: Any) -> Served:
        """The same person gets the same release for as long as the shares stay; None, nobody's: the active one."""
        if person is None:
            return self.active
        for served in self.beside:
            if _percentile(f"{served.release.name} {person}") < served.release.share:
                return served
        return self.active


def _percentile(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 100


def serving() -> Serving | None:
    """None when no release is active. Raises ReleaseError when the active one cannot be loaded here."""
    releases = serving_releases()
    if not releases:
        return None
    active = Served(releases[0], model_of(releases[0]))
    beside = []
    for release in releases[1:]:
        try:
            beside.append(Served(release, model_of(release)))
        except ReleaseError as error:
            logger.error("%s answers in the place of %s: %s", active.release.name, release.name, error)
    return Serving(active, beside)
