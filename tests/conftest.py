"""What the tests share. The cast: alice owns the posts, bob reads what is public, staff curates."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import settings as examples

from .skips import pytest_terminal_summary  # noqa: F401  (a hook)

# The same examples every time: a test that fails in one run fails in the next.
examples.register_profile("same", derandomize=True, database=None)
examples.load_profile("same")


@pytest.fixture(autouse=True, scope="session")
def _static_files() -> None:
    """Collect the static files: pages name them by content, as in production."""
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def _fresh_broker_and_cache() -> None:
    """Remove the throttle counts, the messages, and the words of the catalogues of earlier tests."""
    from django.core.cache import cache

    from socialsongs import dispatch, outages

    outages.CACHE.reset()
    dispatch.BROKER.reset()
    cache.clear()  # flushes the Redis database, queues and all
    if fields := sys.modules.get("workers.suggesting.wish_fields"):  # imports torch
        fields._kept_words.cache_clear()


@pytest.fixture(autouse=True, scope="session")
def broken_contract() -> Iterator[list[AssertionError]]:
    """Check each answer of the API in any test against the schema; return the list of failures in other threads."""
    from .contract import held

    with held() as found:
        yield found


@pytest.fixture(autouse=True)
def _every_answer_is_as_the_schema_says(broken_contract: list[AssertionError]) -> Iterator[None]:
    yield
    broken = list(broken_contract)
    broken_contract.clear()
    if broken:  # in a thread of the live server
        raise broken[0]


@pytest.fixture
def photo_bytes() -> Callable[..., bytes]:
    """Return a function that makes a photo, a gradient, in any format that Pillow writes."""
    from PIL import Image

    def make(format: str = "JPEG", size: tuple[int, int] = (320, 240), mode: str = "RGB", **options: object) -> bytes:
        image = Image.linear_gradient("L").resize(size).convert(mode)
        file = BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    return make


@pytest.fixture
def upload(photo_bytes: Callable[..., bytes]) -> Callable[..., object]:
    from django.core.files.uploadedfile import SimpleUploadedFile

    def make(content: bytes | None = None, name: str = "photo.jpg") -> SimpleUploadedFile:
        return SimpleUploadedFile(name, photo_bytes() if content is None else content)

    return make


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one release, "small", of random weights."""
    from recommender.release import save_release

    from .releases import card, network

    folder = tmp_path_factory.mktemp("releases")
    save_release(network(), card(), folder)
    return folder


@pytest.fixture(scope="session")
def model(releases: Path) -> object:
    from recommender.release import load_release

    return load_release("small", folder=releases)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder that ``make dist`` fills, in a copy of the checkout, and what it prints."""
    from .tools import ROOT, make

    folder = tmp_path_factory.mktemp("checkout") / "socialsongs"
    kept = shutil.ignore_patterns(".*", "var", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, folder, ignore=kept)
    done = make("dist", folder)
    assert done.returncode == 0, done.stderr
    return folder / "dist", done.stdout


@pytest.fixture(scope="session")
def wheel(dist: tuple[Path, str]) -> Path:
    (found,) = dist[0].glob("*.whl")
    return found


@pytest.fixture
def alice(db: None, django_user_model: type) -> object:
    """Owns the posts."""
    return django_user_model.objects.create_user("alice", password=None)


@pytest.fixture
def bob(db: None, django_user_model: type) -> object:
    """Reads what is public."""
    return django_user_model.objects.create_user("bob", password=None)


@pytest.fixture
def staff(db: None, django_user_model: type) -> object:
    return django_user_model.objects.create_superuser("staff", password=None)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the terminal so wide that no cell of a table is broken."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def api_of() -> Callable[[object], object]:
    """Return a function that makes an API client with a token of a person, with all scopes."""
    from django.utils import timezone
    from rest_framework.test import APIClient

    from socialsongs.site.models import Token

    texts: dict[object, str] = {}

    def make(user: object | None) -> APIClient:
        client = APIClient()
        if user is not None:
            if user.pk not in texts:
                # As if just used, or a request would execute one more statement.
                everything = {"scopes": Token.Scope.values, "last_used_at": timezone.now()}
                _, texts[user.pk] = Token.objects.create(user=user, name="tests", **everything)
            client.credentials(HTTP_AUTHORIZATION=f"Token {texts[user.pk]}")
        return client

    return make


@pytest.fixture
def release(db: None) -> object:
    """An active release as a row; tests that need the model itself register the shipped one."""
    from socialsongs.services.releases import register

    return register(name="written-down", sha256="0" * 64, card={})


@pytest.fixture
def make_song(db: None) -> Callable[..., object]:
    from socialsongs.models import Song
    from socialsongs.services.catalogue import save_song

    def make(title: str = "Harbour Lights", **values: object) -> Song:
        defaults = {
            "artist": "The Ferry Hands",
            "lyrics": "The gulls go home\nThe tide comes in\n\nI count the masts\nTill you come in",
            "status": "published",
        }
        song = Song(title=title, **{**defaults, **values})
        save_song(song=song)
        return song

    return make


@pytest.fixture
def ready_post(
    alice: object, upload: Callable[..., object], release: object, make_song: Callable[..., object]
) -> object:
    """Alice's private post as a worker leaves it: tags, and three suggestions."""
    from django.utils import timezone

    from socialsongs.models import PhotoAnalysis, PhotoSubject, State, Suggestion
    from socialsongs.services.posts import create_post

    post, _ = create_post(owner=alice, uploads=[upload()], caption="By the sea")
    tag = {"name": "harbor", "kind": "scene", "score": 0.9, "box": [0.1, 0.2, 0.6, 0.8]}
    PhotoAnalysis.objects.create(subject=PhotoSubject.objects.get(), release=release, tags=[tag], embedding=[0.0] * 128)
    asked = post.requests.get()
    for rank in (1, 2, 3):
        Suggestion.objects.create(
            request=asked,
            song=make_song(f"Song {rank}"),
            release=release,
            rank=rank,
            score=1.0 / rank,
            reasons=[{"tag": "harbor", "kind": "scene", "weight": 0.5}],
            line="The tide comes in",
            line_index=1,
        )
    asked.state, asked.release, asked.finished_at = State.READY, release, timezone.now()
    asked.save()
    post.state = State.READY
    post.save()
    return post
