"""A release whose file is damaged: its worker takes no work and says why, until the file is repaired."""

import os
import shutil

import pytest
from redis import Redis

from recommender.card import WEIGHTS
from socialsongs.models import Post, State, Worker

from .crew import COLOURS, Stopwatch

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


def test_a_worker_with_a_damaged_release_takes_no_work(crew, catalogue, tmp_path, record):
    folder = shutil.copytree(catalogue, tmp_path / "damaged")
    weights = folder / "small" / WEIGHTS
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    damaged = Worker.objects.filter(name__startswith="damaged@")
    with crew.beat(), crew.worker("damaged", SOCIALSONGS_RELEASES_DIR=str(folder)) as worker:
        crew.post(*COLOURS[:4])
        crew.wait(damaged.filter(state=Worker.State.REFUSING).exists)
        assert "damaged" in damaged.get().problem
        untouched = list(Post.objects.values_list("state", "attempts"))
        assert untouched == [(State.QUEUED, 0)] * 4
        watch = Stopwatch()
        with crew.worker("healthy"):
            result = crew.settled()
        record("a release's file is damaged", "one byte; a healthy worker beside it", result, watch.seconds)
        assert damaged.get().state == Worker.State.REFUSING

        posts = crew.post(*COLOURS[:4])
        Redis.from_url(os.environ["REDIS_URL"]).client_kill_filter(_type="normal")  # connecting anew must not wake it
        weights.write_bytes(good)
        watch = Stopwatch()
        result = crew.settled(posts)
        record(
            "a release's file is damaged", "put right under the same process; seconds from then", result, watch.seconds
        )
        assert worker.exitcode is None
        assert damaged.get().problem == ""
    assert {(post.state, post.attempts) for post in crew.posts} == {(State.READY, 1)}
