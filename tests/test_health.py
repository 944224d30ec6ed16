"""Health: may the web process take uploads, and is this worker live?"""

import os
import re
import socket
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.models.functions import Now
from django.urls import include, path
from health_check.exceptions import ServiceUnavailable
from redis import Redis

from socialsongs import dispatch, outages
from socialsongs.broker import broker_digest
from socialsongs.conf import config
from socialsongs.health import Broker, Consumers, Workers
from socialsongs.models import WakeUpSender, Worker
from socialsongs.services import wake_ups

from .test_import_direction import run

pytestmark = pytest.mark.django_db
INFERENCE = ["socialsongs.bulk", "socialsongs.interactive"]
MAINTENANCE = ["socialsongs.maintenance"]
# Nothing listens there.
DEAD = "redis://poster:topsecret@127.0.0.1:1/0"


def worker(name="inference@one", *, silent=0, **values):
    """Make a worker's row whose last heartbeat was ``silent`` seconds ago."""
    defaults = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "queues": INFERENCE,
        "broker": broker_digest(),
        "release": "written-down",
        "state": Worker.State.READY,
        "started_at": Now(),
        "seen_at": Now() - timedelta(seconds=silent),
    }
    return Worker.objects.create(name=name, **{**defaults, **values})


def problem(check):
    with pytest.raises(ServiceUnavailable) as caught:
        check.run()
    return caught.value.message


def broker_at(settings, url):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "BROKER_URL": url}


# The broker


def test_a_broker_that_answers_is_healthy():
    Broker().run()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_dead_broker_is_reported_without_its_address(settings, scheme):
    broker_at(settings, DEAD.replace("redis", scheme))
    text = problem(Broker())
    assert text.startswith("The broker cannot be reached.")
    assert "127.0.0.1" not in text
    assert "topsecret" not in text


def test_a_broker_that_does_not_answer_is_reported(settings):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        broker_at(settings, f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        with pytest.raises(ServiceUnavailable):
            Broker().run()


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_redis_that_accepts_no_writes_is_reported(fault, settings, client):
    redis = Redis.from_url(settings.REDIS_URL)
    try:
        redis.config_set("maxmemory", 1) if fault == "full" else redis.replicaof("127.0.0.1", 1)
        assert problem(Broker()).startswith("The broker takes no messages")
        status, found = answer(client, "/health/")
        assert status == 500
        assert found["Cache(alias='default')"] != "OK"
        assert dispatch.send(dispatch.DRAIN_BULK) is False
    finally:
        redis.config_set("maxmemory", 0)
        redis.replicaof("NO", "ONE")
    Broker().run()
    dispatch.BROKER.reset()  # the first message of a process may have taken long to fail
    assert dispatch.send(dispatch.DRAIN_BULK)


def test_the_check_of_the_broker_leaves_no_keys_behind(settings):
    before = Redis.from_url(settings.REDIS_URL).keys()
    Broker().run()
    assert Redis.from_url(settings.REDIS_URL).keys() == before


def test_a_broker_that_hangs_is_waited_for_once(settings, monkeypatch):
    monkeypatch.setattr(outages, "OPEN_SECONDS", 3600)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        broker_at(settings, f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        assert [dispatch.send(dispatch.DRAIN_INTERACTIVE) for _ in range(20)] == [False] * 20
        mute.setblocking(False)
        mute.accept()[0].close()
        with pytest.raises(BlockingIOError):  # there was no second connection
            mute.accept()


# Workers


def test_a_ready_worker_with_the_active_release_is_healthy(release):
    worker()
    Workers().run()


def test_no_active_release_is_said(db):
    worker()
    assert "releases register" in problem(Workers())


def test_no_worker_is_said(release):
    assert "No inference worker is live" in problem(Workers())


def test_a_worker_that_is_still_loading_is_named(release):
    worker(state=Worker.State.STARTING, release="")
    assert "inference@one has not loaded the release written-down" in problem(Workers())


def test_a_worker_with_another_release_does_not_count(release):
    worker(release="older")
    assert "has not loaded the release" in problem(Workers())


def test_the_reconciler_is_no_inference_worker(release):
    worker("maintenance@one", queues=MAINTENANCE, release="")
    assert "No inference worker is live" in problem(Workers())


def test_a_worker_that_refuses_is_named_without_its_problem(release):
    worker(state=Worker.State.REFUSING, problem="/srv/releases/written-down is missing")
    text = problem(Workers())
    assert "inference@one takes no work" in text
    assert "/srv" not in text


def test_an_expired_heartbeat_is_not_live(release):
    worker(silent=4 * config().HEARTBEAT_SECONDS + 1)
    assert "No inference worker is live" in problem(Workers())


def test_a_late_heartbeat_is_live(release):
    worker(silent=2 * config().HEARTBEAT_SECONDS)
    Workers().run()


def test_a_hung_batch_is_not_live(release):
    worker(busy_seconds=config().VISIBILITY_TIMEOUT_SECONDS)
    assert "No inference worker is live" in problem(Workers())


# Consumers


def test_every_queue_has_a_consumer(db):
    worker()
    worker("maintenance@one", queues=MAINTENANCE)
    Consumers().run()


def test_queues_without_a_consumer_are_named(db):
    worker(queues=["socialsongs.interactive"])
    text = problem(Consumers())
    assert "consumes socialsongs.bulk, socialsongs.maintenance:" in text
    assert "start `manage.py socialsongs_worker bulk maintenance`" in text


def test_a_worker_on_another_broker_is_no_consumer(release):
    worker(broker="another")
    for check in (Workers(), Consumers()):
        assert "inference@one listens on another broker than the one that wake-ups are sent to" in problem(check)


def test_workers_and_a_site_with_different_queues_are_named(settings, release):
    worker()
    worker("maintenance@one", queues=MAINTENANCE)
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "QUEUE_PREFIX": "photos"}
    text = problem(Consumers())
    assert "inference@one consumes socialsongs.bulk, socialsongs.interactive; wake-ups are sent to photos.int" in text
    assert "QUEUE_PREFIX" in text


@pytest.mark.parametrize(
    ("broker", "prefix", "said"),
    [
        ("another", "socialsongs", "web1 sends wake-ups to a broker on which no worker listens"),
        (None, "photos", "web1 sends wake-ups to the queues photos.*, which no worker consumes"),
    ],
)
def test_a_site_that_sends_wake_ups_elsewhere_makes_site_and_workers_unready(db, broker, prefix, said):
    """The probe of a worker has the worker's own settings: it knows those of the site from what the site recorded."""
    worker()
    worker("maintenance@one", queues=MAINTENANCE)
    goal = {"broker": broker or broker_digest(), "queue_prefix": prefix, "host": "web1"}
    sender = WakeUpSender.objects.create(**goal, sent_at=Now() - timedelta(seconds=30))
    assert said in problem(Consumers())
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("socialsongs_worker_health", "--ready")
    with pytest.raises(SystemCheckError, match="W024"):
        call_command("check", databases=["default"], fail_level="WARNING")
    sender.sent_at = Now() - timedelta(minutes=2)  # the site has other settings since
    sender.save()
    Consumers().run()
    call_command("socialsongs_worker_health", "--ready")


def test_a_sent_wake_up_records_where_once_in_a_while(db, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(wake_ups, "_recorded", {})
    assert dispatch.send(dispatch.DRAIN_BULK)
    assert WakeUpSender.objects.values_list("broker", "queue_prefix", "host").get() == (
        broker_digest(),
        "socialsongs",
        socket.gethostname(),
    )
    with django_assert_num_queries(0):
        assert dispatch.send(dispatch.DRAIN_BULK)
    monkeypatch.setattr(wake_ups, "EVERY_SECONDS", 0)
    with django_assert_num_queries(1):
        assert dispatch.send(dispatch.DRAIN_BULK)


def test_a_worker_that_refuses_consumes_nothing(db):
    worker(state=Worker.State.REFUSING)
    worker("maintenance@one", queues=MAINTENANCE)
    assert "consumes socialsongs.interactive, socialsongs.bulk:" in problem(Consumers())


# Connections: the checks run on threads of their own


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("check", [Workers, Consumers])
def test_a_check_leaves_no_connection_behind(check):
    left = []

    def look():
        with pytest.raises(ServiceUnavailable):
            check().run()
        left.append(connection.connection)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert left == [None]


def test_a_check_keeps_the_connection_that_was_open(release):
    worker()
    Workers().run()
    assert connection.connection is not None


# The endpoints


def answer(client, path="/health/ready/"):
    response = client.get(path, headers={"Accept": "application/json"})
    return response.status_code, response.json()


@pytest.mark.django_db(transaction=True)
def test_ready_while_all_checks_pass(client, release):
    worker()
    worker("maintenance@one", queues=MAINTENANCE)
    status, found = answer(client)
    assert (status, set(found.values())) == (200, {"OK"})


@pytest.mark.django_db(transaction=True)
def test_not_ready_says_which_part_is_not(client, release):
    worker()
    status, found = answer(client)
    assert status == 500
    assert [name for name, text in found.items() if text != "OK"] == ["Consumers()"]


@pytest.mark.django_db(transaction=True)
def test_the_web_process_is_healthy_without_workers(client):
    status, found = answer(client, "/health/")
    assert (status, set(found.values())) == (200, {"OK"})


# A host mounts them under a prefix of its own


class HostAddresses:
    urlpatterns = [
        path("up/", include("socialsongs.health.urls")),
        path("figures/", include("socialsongs.metrics.urls")),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_host_mounts_health_and_metrics(client, settings, alice, staff, monkeypatch):
    settings.ROOT_URLCONF = HostAddresses
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert answer(client, "/up/")[0] == 200
    status, found = answer(client, "/up/ready/")
    assert (status, found["Broker()"], found["Workers()"] == "OK") == (500, "OK", False)
    assert b"System status: a check failed" in client.get("/up/ready/").content
    assert client.get("/figures/").status_code == 401
    client.force_login(alice)
    assert client.get("/figures/").status_code == 403
    client.force_login(staff)
    assert b"socialsongs_pending" in client.get("/figures/").content


# The probe of a worker's container


def probe(capsys, *arguments):
    call_command("worker_health", *arguments)
    return capsys.readouterr().out


def test_the_probe_finds_the_worker_of_this_host(capsys, db):
    worker()
    worker("inference@elsewhere", host="elsewhere", silent=1000)
    assert probe(capsys) == "inference@one is ready\n"


def test_the_probe_finds_a_worker_by_name(capsys, db):
    worker(silent=1000)
    worker("inference@elsewhere", host="elsewhere")
    assert probe(capsys, "inference@elsewhere") == "inference@elsewhere is ready\n"


@pytest.mark.parametrize(
    ("values", "arguments", "why"),
    [
        ({"name": "other@one"}, ["inference@one"], "There is no worker called inference@one"),
        ({"host": "elsewhere"}, [], f"There is no worker on {socket.gethostname()}"),
        ({"silent": 1000}, [], "inference@one: its last heartbeat was 1000 s ago"),
        ({"busy_seconds": 500.0}, [], "inference@one: its batch hangs for 500 s"),
        ({"state": "refusing", "problem": "no weights"}, ["--ready"], "inference@one is refusing: no weights"),
        ({"state": "starting"}, ["--ready"], "inference@one is starting"),
        ({"broker": "another"}, ["--ready"], "inference@one listens on another broker"),
        ({"queues": ["interactive"]}, ["--ready"], "inference@one consumes interactive; wake-ups are sent to socialso"),
    ],
)
def test_the_probe_fails_and_says_why(db, values, arguments, why):
    worker(**values)
    with pytest.raises(CommandError, match=why):
        call_command("worker_health", *arguments)


def test_a_worker_that_refuses_is_live(capsys, db):
    worker(state=Worker.State.REFUSING, problem="no weights")
    assert probe(capsys) == "inference@one is refusing\n"


def test_the_probe_loads_no_torch():
    run(
        "import sys, django; django.setup();"
        "from django.core.management import load_command_class;"
        "load_command_class('socialsongs', 'socialsongs_worker_health');"
        "sys.exit('torch' in sys.modules)"
    )
