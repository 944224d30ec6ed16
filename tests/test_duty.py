"""A worker process's row, and when the process takes no work: release missing or changed, device in use."""

import gc
import time
import weakref
from datetime import timedelta

import pytest
import torch
from django.db.models.functions import Now

from recommender.card import ReleaseError
from recommender.release import save_release
from socialsongs.models import ModelRelease, Post, State, Worker
from socialsongs.services.posts import create_post
from socialsongs.services.releases import activate, register
from workers.figures import FIGURES
from workers.inference import loading
from workers.process import duty as duty_module
from workers.process.duty import Duty
from workers.process.presence import Presence

from .releases import card, network

pytestmark = pytest.mark.django_db

INFERENCE = ["socialsongs.bulk", "socialsongs.interactive"]


class Consumer:
    """The part of Celery's consumer that a duty uses."""

    def __init__(self):
        self.queues = set(INFERENCE)
        self.timer = self

    def cancel_task_queue(self, name):
        self.queues.remove(name)

    def add_task_queue(self, name):
        self.queues.add(name)

    def call_repeatedly(self, seconds, call):
        self.seconds = seconds


@pytest.fixture
def folder(settings, tmp_path):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "releases")}
    return tmp_path / "releases"


@pytest.fixture(autouse=True)
def _no_memory_of_failures(monkeypatch):
    monkeypatch.setattr(loading, "TRY_AGAIN_SECONDS", 0)


@pytest.fixture
def duty():
    return Duty(Consumer(), Presence("inference@here", set(INFERENCE)))


def raise_(error):
    raise error


def registered_release(folder, name):
    save_release(network(), card(name), folder)
    from recommender.release import load_release

    return register(name=name, sha256=load_release(name, folder=folder).sha256, card={})


def test_a_worker_that_has_loaded_its_release_is_ready(folder):
    registered_release(folder, "mine")
    duty = Duty(Consumer(), Presence("inference@here", {"socialsongs.interactive"}))
    assert (duty.presence.state, FIGURES.release, duty.presence.device) == (Worker.State.READY, "mine", "cpu")


def test_a_worker_without_any_release_is_ready_and_waits_for_one(duty):
    assert (duty.presence.state, duty.presence.device) == (Worker.State.READY, "cpu")


@pytest.mark.parametrize("harm", ["missing", "damaged", "device", "memory", "unreadable"])
def test_a_release_that_cannot_be_loaded_stops_it_until_it_can(folder, settings, alice, upload, harm, monkeypatch):
    row = registered_release(folder, f"harmed-{harm}")
    weights = folder / row.name / "model.safetensors"
    good = weights.read_bytes()
    if harm == "missing":
        weights.unlink()
    elif harm == "damaged":
        weights.write_bytes(good[:-1] + b"?")
    elif harm == "device":
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "DEVICE": "cuda:7"}
    errors = {"memory": torch.OutOfMemoryError("CUDA out of memory"), "unreadable": PermissionError("no entry")}
    error = errors.get(harm)
    if error:
        load = loading.load_release
        monkeypatch.setattr(loading, "load_release", lambda *names, **options: raise_(error))
    post, _ = create_post(owner=alice, uploads=[upload()])
    duty = Duty(Consumer(), Presence("inference@here", set(INFERENCE)))
    assert duty.presence.state == Worker.State.REFUSING
    said = {
        "missing": "is missing",
        "damaged": "SHA-256",
        "device": "no device 'cuda:7'",
        "memory": "out of memory",
        "unreadable": "no entry",
    }[harm]
    assert said in duty.presence.problem
    assert duty.consumer.queues == set()
    assert duty.work(bulk=True)  # work is left for another worker
    post.refresh_from_db()
    assert (post.state, post.attempts) == (State.QUEUED, 0)

    weights.write_bytes(good)
    if error:
        monkeypatch.setattr(loading, "load_release", load)
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "DEVICE": "cpu"}
    duty.check()
    assert (duty.presence.state, duty.presence.problem) == (Worker.State.READY, "")
    assert duty.consumer.queues == set(INFERENCE)
    assert not duty.work(bulk=True)
    post.refresh_from_db()
    assert post.state == State.READY


def test_a_release_activated_later_that_it_cannot_load_stops_it(folder, alice, upload):
    registered_release(folder, "first")
    duty = Duty(Consumer(), Presence("inference@here", set(INFERENCE)))
    elsewhere = ModelRelease.objects.create(name="elsewhere", sha256="0" * 64)
    activate(release=elsewhere, force=True)
    create_post(owner=alice, uploads=[upload()])
    assert duty.work(bulk=False)
    assert duty.presence.state == Worker.State.REFUSING
    assert duty.consumer.queues == set()
    assert Post.objects.get().attempts == 0


def test_a_staged_release_that_it_cannot_load_does_not_stop_it(folder, make_song):
    registered_release(folder, "here")
    ModelRelease.objects.create(name="not-here", sha256="0" * 64)
    make_song()
    duty = Duty(Consumer(), Presence("inference@here", set(INFERENCE)))
    assert not duty.work(bulk=True)
    assert duty.presence.state == Worker.State.READY


def test_a_failure_is_remembered_for_a_moment(folder, monkeypatch):
    monkeypatch.setattr(loading, "TRY_AGAIN_SECONDS", 60)
    row = ModelRelease.objects.create(name="nowhere", sha256="0" * 64)
    with pytest.raises(ReleaseError, match="no release 'nowhere'"):
        loading.load_registered(row)
    monkeypatch.setattr(loading, "load_release", lambda *names, **options: pytest.fail("it was read again"))
    with pytest.raises(ReleaseError, match="no release 'nowhere'"):
        loading.load_registered(row)


def test_models_are_spared_the_garbage_collector_and_go_when_others_come(folder):
    gc.unfreeze()
    first, *others = [registered_release(folder, f"model-{number}") for number in range(loading.KEPT + 1)]
    model = weakref.ref(loading.load_registered(first).model)
    assert gc.get_freeze_count() > 0
    for other in others:
        assert model() is not None
        loading.load_registered(other)
    assert model() is None


def test_a_gpu_that_another_process_holds_is_left_to_it(folder, monkeypatch):
    registered_release(folder, "shared")
    monkeypatch.setattr(duty_module, "device_name", lambda: "cuda:0 Big GPU")
    mine = Presence("second@here", {"socialsongs.interactive"})
    other = Worker(name="first@here", pid=17, device="cuda:0 Big GPU", state="ready", started_at=Now(), seen_at=Now())
    other.host = duty_module.socket.gethostname()
    other.save()
    Worker.objects.create(name="second@here", pid=18, host=other.host, started_at=Now(), seen_at=Now())
    assert "Worker first@here (process 17) uses cuda:0 Big GPU" in Duty(Consumer(), mine).presence.problem
    other.started_at = Now() + timedelta(seconds=1)  # it came later
    other.save()
    assert not Duty(Consumer(), mine).presence.problem
    other.delete()
    assert Duty(Consumer(), mine).presence.state == Worker.State.READY


@pytest.mark.django_db(transaction=True)
def test_a_worker_has_a_row_that_beats_changes_at_once_and_goes(settings):
    def beat_every(seconds):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "HEARTBEAT_SECONDS": seconds}

    beat_every(3600)
    presence = Presence("inference@here", set(INFERENCE))
    presence.begin()

    def row():
        return Worker.objects.filter(name="inference@here").values_list("state", "problem", "queues", "seen_at").first()

    def wait_for(true):
        deadline = time.monotonic() + 60
        while not ((found := row()) and true(*found)):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    _, _, queues, _ = wait_for(lambda state, *_: state == "starting")
    assert queues == INFERENCE
    beat_every(1)
    presence.become(Worker.State.REFUSING, "why")
    _, problem, _, seen_at = wait_for(lambda state, *_: state == "refusing")  # at once, not at the next beat
    assert problem == "why"
    for _ in range(2):  # it beats
        *_, seen_at = wait_for(lambda *found, before=seen_at: found[-1] > before)
    beat_every(60)  # end() waits as long for the thread
    presence.end()
    assert row() is None
