"""Workers that are killed: every accepted post ends ready or failed with its reason, once, and no row stays leased."""

from io import BytesIO

import pytest
from django.core.management import call_command
from PIL import Image

from socialsongs import dispatch
from socialsongs.models import Post, RecommendationRequest, SongEmbedding, State, Suggestion
from socialsongs.services.posts import create_post
from socialsongs.site.processes import BEAT, WORKER
from tests.processes import process, wait_until

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

QUICK = {"SOCIALSONGS_LEASE_SECONDS": "4", "SOCIALSONGS_RECONCILE_SECONDS": "1"}
DEADLY = [part.replace("workers.celery", "tests.faults.deadly") for part in WORKER]


def plain(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (320, 240), colour).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def catalogue(make_song, tmp_path):
    call_command("releases", "register")
    for number in range(3):
        make_song(f"Song {number}")
    log = tmp_path / "songs.log"
    with process(WORKER, log):
        dispatch.send(dispatch.DRAIN_BULK)
        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), log)


def assert_nothing_lost_or_double(posts):
    assert {post.state for post in posts} <= {State.READY, State.FAILED}
    for post in posts:
        found = Suggestion.objects.filter(request__post=post)
        assert found.count() == (3 if post.state == State.READY else 0)
    assert not Post.objects.exclude(lease_token=None).exists()
    assert not RecommendationRequest.objects.exclude(lease_token=None).exists()


def test_a_post_that_kills_its_worker_fails_alone(catalogue, alice, upload, tmp_path):
    posts = [create_post(owner=alice, uploads=[upload(plain(colour))])[0] for colour in ("teal", "red", "gold", "navy")]
    deaths = 0

    def done():
        return not Post.objects.filter(state__in=[State.QUEUED, State.ANALYSING]).exists()

    with process([*BEAT, str(tmp_path / "schedule")], tmp_path / "beat.log", **QUICK):
        while not done():
            log = tmp_path / f"worker-{deaths}.log"
            with process(DEADLY, log, **QUICK) as worker:
                wait_until(lambda worker=worker: worker.poll() is not None or done(), log)
                deaths += worker.poll() is not None
            assert deaths <= 3
    assert deaths == 3  # as many as a row has attempts
    for post in posts:
        post.refresh_from_db()
    assert [(post.state, post.reason) for post in posts] == [
        (State.READY, ""),
        (State.FAILED, "attempts_exhausted"),
        (State.READY, ""),
        (State.READY, ""),
    ]
    assert_nothing_lost_or_double(posts)


def test_another_worker_takes_over_from_one_that_was_killed(catalogue, alice, upload, tmp_path):
    posts = [create_post(owner=alice, uploads=[upload()])[0] for _ in range(8)]
    ready = Post.objects.filter(state=State.READY)
    quick = {**QUICK, "SOCIALSONGS_INTERACTIVE_BATCH": "2"}
    with process([*BEAT, str(tmp_path / "schedule")], tmp_path / "beat.log", **quick):
        with process(WORKER, tmp_path / "first.log", **quick) as first:
            wait_until(ready.exists, tmp_path / "first.log")
            first.kill()
        with process(WORKER, tmp_path / "second.log", **quick):
            wait_until(lambda: ready.count() == len(posts), tmp_path / "second.log")
    for post in posts:
        post.refresh_from_db()
    assert_nothing_lost_or_double(posts)
