"""Faults that a worker survives: what cannot succeed fails alone, the rest becomes ready."""

import pytest

from socialsongs.models import State

from .crew import COLOURS, Stopwatch

FITTING = 4  # photos in memory
pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ended(crew):
    """Return a function that waits until all is done and returns states and reasons of posts."""

    def wait(posts):
        crew.settled()
        for post in posts:
            post.refresh_from_db()
        return [(post.state, post.reason) for post in posts]

    return wait


def test_one_worker_survives_every_fault_of_photos(crew, ended, record):
    """One worker process meets all faults, and none may stop it."""
    with crew.beat(), crew.worker(SOCIALSONGS_INTERACTIVE_BATCH="16") as worker:
        crew.wait_ready()
        for check in (bad_files, storage_away, every_seventh, connection_cut, out_of_memory):
            check(crew, ended, record)
            assert worker.exitcode is None


def bad_files(crew, ended, record):
    with crew.held("after_claim", "teal"):  # posts of now are not decoded yet
        posts = crew.post("teal", "gold", "navy", "olive")
        vanished, broken = (post.photos.get().image for post in posts[1:3])
        vanished.storage.delete(vanished.name)
        with vanished.storage.open(broken.name, "wb") as file:
            file.write(b"no photo")
        watch = Stopwatch()
    assert ended(posts) == [
        (State.READY, ""),
        (State.FAILED, "photo_missing"),
        (State.FAILED, "photo_unreadable"),
        (State.READY, ""),
    ]
    record("a photo's file vanished", "deleted after the upload", "1 failed (photo_missing)", watch.seconds)
    record("a photo's file is damaged", "overwritten after the upload", "1 failed (photo_unreadable)", watch.seconds)


def storage_away(crew, ended, record):
    """For longer than a row has attempts."""
    crew.switch_on("storage")
    watch = Stopwatch()
    posts = crew.post(*COLOURS[:6])
    crew.wait(lambda: all(post.delayed_since for post in refreshed(posts)))
    first = [post.queued_at for post in posts]
    crew.wait(lambda: all(post.queued_at > before for post, before in zip(refreshed(posts), first, strict=True)))
    assert {post.attempts for post in posts} == {0}
    crew.switch_off("storage")
    assert ended(posts) == [(State.READY, "")] * 6
    record("media storage away for some seconds", "OSError from every file", "6 ready", watch.seconds)


def refreshed(posts):
    for post in posts:
        post.refresh_from_db()
    return posts


def every_seventh(crew, ended, record):
    crew.switch_on("red-raises")
    photos = ["red" if place % 7 == 6 else COLOURS[place % len(COLOURS)] for place in range(21)]
    posts, watch = crew.post(*photos), Stopwatch()
    wanted = {"red": (State.FAILED, "attempts_exhausted")}
    assert ended(posts) == [wanted.get(photo, (State.READY, "")) for photo in photos]
    crew.switch_off("red-raises")
    record("an exception over every seventh photo", "RuntimeError from the model", "18 ready, 3 failed "
           "(attempts_exhausted)", watch.seconds)  # fmt: skip


def connection_cut(crew, ended, record):
    crew.switch_on("cut-before_commit")
    posts, watch = crew.post(*COLOURS[:4]), Stopwatch()
    assert ended(posts) == [(State.READY, "")] * 4
    assert not (crew.faults / "cut-before_commit").exists()
    assert {post.attempts for post in posts} == {1}  # written again, not analysed again
    record("the database connection cut inside the transaction of the results", "pg_terminate_backend", "4 ready",
           watch.seconds)  # fmt: skip


def out_of_memory(crew, ended, record):
    crew.switch_on("oom", text=str(FITTING))
    with crew.held("after_rank", "teal"):  # posts of now become one batch
        began = len(crew.looks())
        posts = crew.post(*COLOURS, *COLOURS[:4])
        watch = Stopwatch()
    assert ended(posts) == [(State.READY, "")] * 14
    passes = [photos for _, photos in crew.looks()[began:]]
    assert max(passes) > FITTING, "no batch was large enough to fail"
    began += len(passes)
    posts += crew.post(*COLOURS)
    assert ended(posts) == [(State.READY, "")] * 24
    assert max(photos for _, photos in crew.looks()[began:]) <= FITTING  # it remembers the size that fits
    assert {post.attempts for post in posts} == {1}
    crew.switch_off("oom")
    record("out of memory", f"torch.OutOfMemoryError for more than {FITTING} photos", "24 ready", watch.seconds)
