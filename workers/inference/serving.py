"""Which release serves whom: the active one, except for people in the share of a staged one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recommender.card import ReleaseError
from socialsongs.selectors.releases import serving_releases

from .loading import LoadedRelease, load_registered

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServingReleases:
    """The active release, and the staged releases that serve a share of the people."""

    active: LoadedRelease
    staged: Sequence[LoadedRelease] = ()

    def for_person(self, person: Any) -> LoadedRelease:
        """Return the release that serves a person, by their id; None, for a request without an owner: the active one.

        The same person gets the same release for as long as the shares stay the same.
        """
        if person is None:
            return self.active
        for loaded in self.staged:
            if _hash_percent(f"{loaded.release.name} {person}") < loaded.release.share:
                return loaded
        return self.active


def _hash_percent(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 100


def load_serving() -> ServingReleases | None:
    """Load the serving releases; return None when no release is active.

    The active one serves instead of a staged one that cannot be loaded. Raises ReleaseError when that
    cannot be loaded either.
    """
    releases = serving_releases()
    if not releases:
        return None
    active = load_registered(releases[0])
    staged = []
    for release in releases[1:]:
        try:
            staged.append(load_registered(release))
        except ReleaseError as error:
            logger.error("Release %s serves instead of %s, which cannot be loaded: %s", releases[0], release, error)
    return ServingReleases(active, staged)
