"""The fixtures of fault tests: a catalogue of three encoded songs, and the crew."""

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
    """Return a function that adds a row to the table of faults: fault, how, result, and the seconds to recover."""

    def add(fault: str, how: str, result: object, seconds: float) -> None:
        # Plain values, since they are sent from the processes of ``-n``.
        request.node.user_properties.append(("fault", (fault, how, str(result), seconds)))

    return add


@pytest.fixture
def catalogue(make_song: Callable[..., object], model: Image2Song, releases: Path, settings: object) -> Path:
    """Make three songs, encoded for the active release; return the folder of releases."""
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
