"""A catalogue of three songs, encoded, and the crew of a fault test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command

from recommender.model import Image2Song
from socialsongs.models import SongEmbedding, State
from socialsongs.selectors.releases import active_release

from .crew import QUICK, Crew


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """A row of the table of faults: what was done, how, what became of it, and the seconds until all was done."""

    def add(fault: str, how: str, result: object, seconds: float) -> None:
        # Plain values: they travel from the processes that share the tests.
        request.node.user_properties.append(("fault", (fault, how, str(result), seconds)))

    return add


@pytest.fixture
def catalogue(make_song: Callable[..., object], model: Image2Song, releases: Path, settings: object) -> Path:
    """Three songs that the active release has read; the folder of the release."""
    from workers.inference.loading import LoadedRelease
    from workers.lanes.songs import encode_songs

    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(releases), "SUGGESTIONS": 3}
    call_command("releases", "register", verbosity=0)
    for number in range(3):
        make_song(f"Song {number}")
    release = active_release()
    assert release is not None
    encode_songs(LoadedRelease(release, model), limit=64)
    assert SongEmbedding.objects.filter(state=State.READY).count() == 3
    return releases


@pytest.fixture
def crew(catalogue: Path, alice: object, tmp_path: Path) -> Crew:
    return Crew(alice, tmp_path, QUICK | {"SOCIALSONGS_RELEASES_DIR": str(catalogue)})
