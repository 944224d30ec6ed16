"""An answer is written only while its release is serving: two connections, one of which waits for a lock."""

import threading
import time
from functools import partial

import pytest
from django.db import connection, transaction

from socialsongs.models import ModelRelease, Post, RecommendationRequest, State
from socialsongs.services.posts import create_post
from socialsongs.services.releases import activate, retire, split
from workers.inference.serving import load_serving
from workers.lanes import posts as photos
from workers.lanes import requests
from workers.lanes.drain import Loop
from workers.lanes.requests import answer_requests

from .releases import registered

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 60


@pytest.fixture
def releases_folder(tmp_path, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "two")}
    return tmp_path / "two"


@pytest.fixture
def two(releases_folder, make_song):
    make_song()
    found = registered(releases_folder, "old", "new")
    loop = Loop()
    while loop._bulk():
        pass
    loop.leave()
    return found


class Aside(threading.Thread):
    """A thread that runs a function on a database connection of its own."""

    def __init__(self, does):
        super().__init__(daemon=True)
        self.does, self.error = does, None
        self.start()

    def run(self):
        try:
            self.does()
        except Exception as error:
            self.error = error
            raise
        finally:
            connection.close()

    def done(self):
        self.join(PATIENCE)
        assert not self.is_alive()
        assert self.error is None

    def waits(self):
        """Return True when the thread waits for a lock, False when it has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.is_alive():
            assert time.monotonic() < deadline
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    return True
            time.sleep(0.01)
        return False


def do_posts(found):
    loop = Loop()
    assert loop._posts(found)
    loop.leave()


def a_post(alice, upload):
    post, _ = create_post(owner=alice, uploads=[upload()])
    return post


@pytest.mark.parametrize("kind", ["post", "request"])
@pytest.mark.parametrize("change", ["activate", "end of a trial", "retire"])
def test_a_switch_waits_for_an_answer_that_is_being_written(two, alice, upload, monkeypatch, kind, change):
    old, new = two
    if change != "activate":
        split(release=new, share=99)
    mine = load_serving()
    served = mine.for_person(alice.pk).release
    assert served == (old if change == "activate" else new)
    post = a_post(alice, upload)
    if kind == "request":
        do_posts(mine)
        asked = RecommendationRequest.objects.create(post=post, text="the sea")
    else:
        asked = post.requests.get()
    does = {
        "activate": lambda: activate(release=new),
        "end of a trial": lambda: split(release=new, share=0),
        "retire": lambda: retire(release=new),
    }[change]
    seen = []
    module = photos if kind == "post" else requests
    write = module.write_answers

    def answer(*given):  # the check is over, the commit is to come
        switch = Aside(does)
        seen.append((switch, switch.waits()))
        write(*given)

    monkeypatch.setattr(module, "write_answers", answer)
    if kind == "post":
        do_posts(mine)
    else:
        assert answer_requests(mine, limit=1) == 1
    ((switch, waited),) = seen
    switch.done()
    assert waited, "the switch was over before the answer was committed"
    asked.refresh_from_db()
    assert (asked.state, asked.release) == (State.READY, served)


@pytest.mark.parametrize("kind", ["post", "request"])
def test_an_answer_waits_for_a_switch_in_progress_and_is_made_anew(two, alice, upload, kind):
    _, new = two
    mine = load_serving()
    post = a_post(alice, upload)
    if kind == "request":
        do_posts(mine)
        asked = RecommendationRequest.objects.create(post=post, text="the sea")
    else:
        asked = post.requests.get()
    with transaction.atomic():
        activate(release=new)
        work = Aside(partial(do_posts, mine) if kind == "post" else partial(answer_requests, mine, limit=1))
        assert work.waits()
    work.done()
    asked.refresh_from_db()
    assert (asked.state, asked.attempts) == (State.QUEUED, 0)
    if kind == "post":
        post.refresh_from_db()
        assert (post.state, post.attempts) == (State.QUEUED, 0)
        do_posts(load_serving())
    else:
        assert answer_requests(load_serving(), limit=1) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.release) == (State.READY, new)


def test_workers_do_not_wait_for_each_other(two, alice, upload):
    mine = load_serving()
    post = a_post(alice, upload)
    with transaction.atomic():
        photos.check_serving([mine.active.release])
        work = Aside(lambda: do_posts(mine))
        assert not work.waits()
    work.done()
    assert Post.objects.get(pk=post.pk).state == State.READY


def test_releases_are_locked_in_one_order_so_that_no_deadlock_occurs(two):
    """Answers of both releases are written while releases are activated in turn."""
    old, new = two
    split(release=new, share=50)
    end = threading.Event()

    def write():
        while not end.is_set():
            with transaction.atomic():
                photos.lock_serving_releases(releases=[new, old])
                photos.lock_serving_releases(releases=[old, new])

    writer = Aside(write)
    for share in range(1, 21):
        split(release=new, share=share)
    end.set()
    writer.done()
    assert ModelRelease.objects.get(pk=new.pk).share == 20
