"""Redis and PostgreSQL stop during work: accepted posts are answered when they are back."""

import os
import signal
import time

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection
from redis import Redis

from socialsongs import dispatch
from socialsongs.models import State, Worker
from socialsongs.site.demo import answers
from socialsongs.site.processes import WEB
from tests.processes import free_port, process, wait_until
from tests.servers import PART, ROOT

from .crew import COLOURS, SHORT_LEASES, Stopwatch
from .own import OwnServers, broker
from .visitor import Visitor

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def own(transactional_db, settings):
    """Start servers for this file, and connect this process to them during a test."""
    with OwnServers(ROOT / "var" / "test" / f"own-{PART}") as own:
        Redis.from_url(own.servers.redis_url).flushall()
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "BROKER_URL": broker(own.servers.redis_url)}
        before = dict(connection.settings_dict)
        lead_to(NAME="socialsongs", HOST=own.sockets)
        call_command("migrate", verbosity=0)
        call_command("flush", interactive=False, verbosity=0)
        ContentType.objects.clear_cache()
        yield own
        own.start()
        lead_to(**before)
        ContentType.objects.clear_cache()


def lead_to(**place):
    connection.close()
    connection.settings_dict.update(place)


@pytest.fixture
def crew(crew, own):
    crew.environment |= own.environment
    return crew


@pytest.fixture
def visitor(crew, alice, own):
    """Return a visitor of a web server, which is warm before anything fails."""
    port, log = free_port(), crew.folder / "web.log"
    with process([*WEB, f"127.0.0.1:{port}"], log, **crew.environment):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), log)
        visitor = Visitor(port, alice)
        for _ in range(4):  # each process of it
            crew.posts += visitor.posts("teal", "gold")
        yield visitor


PAGES = ("/", "/accounts/login/", "/admin/login/", "/api/v1/posts", "/api/v1/songs", "/api/v1/taste")


def test_posts_are_answered_though_redis_stops_and_comes_back_empty(crew, own, record, visitor):
    crew.switch_on("wait-after_decode", text="0.1")
    with crew.beat(), crew.worker() as worker:
        crew.wait_ready()
        crew.settled()
        with crew.held("after_look", *COLOURS):
            own.kill_redis()
            watch = Stopwatch()
            late = visitor.posts("teal")  # accepted all the same
            crew.posts += late
        time.sleep(max(0, 1.5 - watch.seconds))
        own.start()
        record("Redis killed during work", "`kill -9`; empty 1.5 s later", crew.settled(), watch.seconds)
        assert late[0].state == State.READY

        own.kill_redis()
        watch = Stopwatch()
        posts = visitor.posts(*COLOURS[:5])
        crew.posts += posts
        visitor.looks(*PAGES)
        assert visitor.health() == 500
        own.start()
        record("Redis away at an upload", "killed before, started after", crew.settled(posts), watch.seconds)
        dispatch.send(dispatch.DRAIN_INTERACTIVE)  # may still fail with the former connection
        assert dispatch.send(dispatch.DRAIN_INTERACTIVE)

        with crew.held("after_look", *COLOURS) as posts:
            Redis.from_url(own.servers.redis_url).flushall()
            watch = Stopwatch()
        record("Redis emptied during work", "FLUSHALL", crew.settled(posts), watch.seconds)
        assert worker.exitcode is None
    assert {post.attempts for post in crew.posts} == {1}


def hangs(own):
    os.kill(own.redis, signal.SIGSTOP)
    return lambda: os.kill(own.redis, signal.SIGCONT)


def full(own):
    redis = Redis.from_url(own.servers.redis_url)
    redis.config_set("maxmemory", 1)
    return lambda: redis.config_set("maxmemory", 0)


def read_only(own):
    redis = Redis.from_url(own.servers.redis_url)
    redis.replicaof("127.0.0.1", 1)
    return lambda: redis.replicaof("NO", "ONE")


REDIS_FAULTS = {
    "Redis hangs at an upload": (hangs, "SIGSTOP"),
    "Redis is full at an upload": (full, "maxmemory reached, nothing is evicted"),
    "Redis is read-only at an upload": (read_only, "became a replica"),
}


def test_uploads_and_pages_work_while_redis_does_not(crew, own, record, visitor):
    """Uploads and pages answer in bounded time; the posts are answered when Redis works again."""
    with crew.beat(), crew.worker() as worker:
        crew.wait_ready()
        crew.settled()
        for name, (fault, how) in REDIS_FAULTS.items():
            mend = fault(own)
            watch = Stopwatch()
            try:
                posts = visitor.posts(*COLOURS[:6])
                crew.posts += posts
                visitor.looks(*PAGES)
                assert visitor.health() == 500
            finally:
                mend()
            record(name, how, crew.settled(posts), watch.seconds)
            assert worker.exitcode is None
    assert {post.state for post in crew.posts} == {State.READY}


def away(crew, own, how, seconds):
    """Stop PostgreSQL for some seconds, while a worker is in the middle of a batch."""
    with crew.held("after_look", *COLOURS[:6]) as posts:
        own.stop_postgres(how)
        watch = Stopwatch()
    with pytest.raises((OperationalError, InterfaceError)):
        crew.post("teal")
    connection.close()
    time.sleep(seconds - watch.seconds)
    own.start()
    posts += crew.post("gold")
    return crew.settled(posts), watch.seconds


def test_posts_are_answered_after_postgres_was_away(crew, own, record):
    crew.environment |= SHORT_LEASES
    with crew.beat(), crew.worker() as worker:
        crew.wait_ready()
        result, seconds = away(crew, own, signal.SIGINT, 2)
        record("PostgreSQL restarted during work", "fast shutdown, 2 s away", result, seconds)
        # Longer than a worker tries again to write what it found.
        result, seconds = away(crew, own, signal.SIGQUIT, 8)
        record("PostgreSQL crashed during work", "immediate shutdown, 8 s away", result, seconds)
        assert worker.exitcode is None
        crew.wait(Worker.objects.filter(state=Worker.State.READY, pid=worker.pid).exists)
    assert {post.state for post in crew.posts} == {State.READY}
