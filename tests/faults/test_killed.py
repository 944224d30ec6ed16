"""Workers that are killed or stopped: others take over, and nothing is lost or done twice."""

import random
import time

import pytest

from socialsongs.models import Post, State

from .crew import COLOURS, SHORT_LEASES, Stopwatch

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

STAGES = ("after_claim", "after_decode", "after_look", "after_rank", "before_commit", "after_commit")


def test_a_worker_killed_at_any_stage_boundary_loses_nothing(crew, record):
    """The worker that is started next finishes them, and dies at the next boundary."""
    crew.environment |= SHORT_LEASES
    before, died = "", Stopwatch()
    with crew.beat():
        for stage in (*STAGES, None):
            with crew.worker() as worker:
                if before:
                    result = crew.settled(crew.posts[-4:])
                    record(f"worker killed {before.replace('_', ' ')}", "`kill -9` of itself", result, died.seconds)
                if stage:
                    crew.switch_on(f"die-{stage}")
                    crew.post(*COLOURS[:4])
                    crew.wait(lambda worker=worker: worker.exitcode is not None)
                    died, before = Stopwatch(), stage
    assert {post.state for post in crew.posts} == {State.READY}
    # Only the rows that the dead worker held were tried again: two batches of two, each time.
    assert {post.attempts for post in crew.posts} == {1, 2}


def test_a_worker_killed_at_random_moments_loses_nothing(crew, record):
    chance, kills = random.Random(1), 4
    crew.environment |= SHORT_LEASES | {"SOCIALSONGS_MAX_ATTEMPTS": str(kills + 2)}
    crew.switch_on("wait-after_decode", text="0.2")
    crew.post(*COLOURS * 3)
    watch = Stopwatch()
    with crew.beat():
        for _ in range(kills):
            with crew.worker() as worker:
                working = Post.objects.filter(state=State.ANALYSING, lease_expires_at__isnull=False)
                seen = set(working.values_list("lease_token", flat=True))
                crew.wait(working.exclude(lease_token__in=seen).exists)  # a batch of its own
                time.sleep(chance.uniform(0, 1.0))
                worker.kill()
        with crew.worker():
            result = crew.settled()
    assert {post.state for post in crew.posts} == {State.READY}
    record(f"worker killed {kills} times at random moments", "`kill -9`", result, watch.seconds)


def test_a_post_that_kills_its_worker_fails_alone(crew, record):
    crew.environment |= SHORT_LEASES
    posts = crew.post("teal", "red", "gold", "navy")
    crew.switch_on("red-kills")
    watch, deaths = Stopwatch(), 0

    def done():
        return not Post.objects.filter(state__in=[State.QUEUED, State.ANALYSING]).exists()

    with crew.beat():
        while not done():
            with crew.worker() as worker:
                crew.wait(lambda worker=worker: worker.exitcode is not None or done())
                deaths += worker.exitcode is not None
            assert deaths <= 3
    result = crew.settled()
    assert deaths == 3  # as many as a row has attempts
    assert [(post.state, post.reason) for post in posts] == [
        (State.READY, ""),
        (State.FAILED, "attempts_exhausted"),
        (State.READY, ""),
        (State.READY, ""),
    ]
    record("a photo that kills its worker", "`kill -9` over a red photo, each time", result, watch.seconds)


def test_a_worker_that_is_told_to_stop_finishes_its_batch(crew, record):
    """It finishes its batch, hands back the one that it has claimed ahead, and ends."""
    with crew.beat():
        with crew.worker() as worker:
            crew.wait_ready()
            with crew.held("after_claim", COLOURS[0]):
                crew.post(*COLOURS[1:6])
                crew.switch_on("wait-after_decode")
            with crew.held("after_decode"):
                assert Post.objects.filter(state=State.ANALYSING).count() == 3
                worker.terminate()  # SIGTERM
                watch = Stopwatch()
                crew.wait(lambda: "Warm shutdown" in crew.log.read_text())
            crew.wait(lambda: worker.exitcode is not None)
            assert worker.exitcode == 0
        left = list(Post.objects.order_by("queued_at").values_list("state", "attempts", "lease_token"))
        assert left == [(State.READY, 1, None)] + [(State.QUEUED, 0, None)] * 5
        with crew.worker():
            result = crew.settled()
    assert {(post.state, post.attempts) for post in crew.posts} == {(State.READY, 1)}
    record("worker told to stop during a batch", "SIGTERM", result, watch.seconds)
