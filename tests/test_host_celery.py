"""A host with a Celery of its own: neither takes over the other, and one app can carry the work of both."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .blank_project import SETTINGS, host_project, running
from .processes import wait_until

pytestmark = pytest.mark.worker

HOSTILE = """
    CELERY_BROKER_URL = os.environ["HOST_OWN_BROKER_URL"]
    CELERY_TASK_DEFAULT_QUEUE = "host"
    CELERY_TASK_ROUTES = {"*": {"queue": "host", "exchange": "host", "routing_key": "host"}}
    CELERY_BEAT_SCHEDULE = {"tick": {"task": "members.tasks.tick", "schedule": 1.0}}
    CELERY_WORKER_POOL = "gevent"
    CELERY_WORKER_CONCURRENCY = 8
    CELERY_TASK_ACKS_LATE = False
    CELERY_TASK_DEFAULT_RATE_LIMIT = "1/h"
    if os.environ["HOST_APP"]:
        SOCIALSONGS = {"CELERY_APP": os.environ["HOST_APP"], "DEVICE": "cpu", "SUGGESTIONS": 3}
"""
FILES = {
    "host/settings.py": SETTINGS + HOSTILE,
    "host/__init__.py": "from .celery import app",
    "host/celery.py": """
        from celery import Celery

        app = Celery("host")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
    """,
    "members/tasks.py": """
        import os

        from celery import shared_task


        @shared_task(rate_limit="100/s")
        def tick():
            note("tick")


        @shared_task(rate_limit="100/s")
        def note(what):
            with open(os.environ["HOST_NOTES"], "a") as file:
                file.write(f"{what} {os.getpid()}\\n")
    """,
    "members/apps.py": """
        from django.apps import AppConfig


        class MembersConfig(AppConfig):
            name = "members"

            def ready(self):
                from socialsongs.signals import suggestions_ready

                suggestions_ready.connect(hear)


        def hear(event, **kwargs):
            from members.tasks import note

            note.delay(event.kind)
    """,
}
PREPARE = """
from django.core.management import call_command
call_command("makemigrations", "members", verbosity=0)
call_command("migrate", verbosity=0)
call_command("socialsongs_releases", "register")
from socialsongs.models import Song
for number in range(3):
    Song.objects.create(title=f"Song {number}", artist=f"Artist {number}", status="published", language="en",
                        lyrics="The sea is calm tonight\\nThe sand is warm and white")
"""
UPLOAD = """
import io, time
from PIL import Image
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from members.models import Member
from rest_framework.authtoken.models import Token
from socialsongs.models import WakeUpSender
WakeUpSender.objects.all().delete()  # of the other test's processes, which sent elsewhere less than a minute ago
from socialsongs.models import SongEmbedding
deadline = time.monotonic() + 90
while SongEmbedding.objects.filter(stage_one__isnull=False).count() < 3:
    assert time.monotonic() < deadline, "the songs were not encoded"
    time.sleep(0.2)
email = f"{time.monotonic()}@example.org"
client = Client(headers={"Authorization": f"Token {Token.objects.create(user=Member.objects.create_user(email)).key}"})
file = io.BytesIO()
Image.linear_gradient("L").convert("RGB").save(file, "PNG")
answer = client.post("/music/api/v1/posts", {"photos": SimpleUploadedFile("a.png", file.getvalue())})
assert answer.status_code == 202, answer.content
deadline = time.monotonic() + 90
while (post := client.get(answer["Location"]).json())["state"] not in ("ready", "failed"):
    assert time.monotonic() < deadline, post
    time.sleep(0.2)
assert post["state"] == "ready", post
assert len(post["suggestions"]) == 3, post

from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
call_command("socialsongs_worker_health", "--ready")
call_command("check", databases=["default"], fail_level="WARNING")
from socialsongs.models import Worker
print(*sorted(queue for worker in Worker.objects.all() for queue in worker.queues))

from django.test import override_settings
with override_settings(SOCIALSONGS={"BROKER_URL": "redis://elsewhere/0"}):
    for command, kind, options in (
        ("socialsongs_worker_health", CommandError, {"ready": True}),
        ("check", SystemCheckError, {"databases": ["default"], "fail_level": "WARNING"}),
    ):
        try:
            call_command(command, **options)
        except kind as error:
            assert "listens on another broker than the one that wake-ups are sent to" in str(error), error
        else:
            raise AssertionError(f"{command} found no difference")
"""
LANES = "socialsongs.bulk socialsongs.interactive socialsongs.maintenance"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """The host's project with its database, a release and three songs."""
    with host_project(tmp_path_factory.mktemp("host"), **FILES) as (folder, environment):
        broker = environment["HOST_BROKER_URL"].partition("?")[0]
        environment |= {"HOST_OWN_BROKER_URL": f"{broker}?virtual_host=6", "HOST_APP": ""}
        shell(folder, environment, PREPARE)
        # As for hosts that tell all their processes the broker by the variable that Celery reads.
        yield folder, environment | {"CELERY_BROKER_URL": environment["HOST_OWN_BROKER_URL"]}


def shell(folder, environment, code):
    command = [sys.executable, "-m", "django", "shell", "--no-imports", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def host_worker(folder, *, pool="solo", queues):
    celery = str(Path(sys.executable).with_name("celery"))
    command = [celery, "-A", "host", "worker", "-P", pool, "-B", "-s", str(folder / "schedule"), "-l", "info"]
    return [*command, "-Q", queues, "-n", "host@%h"]


def unheard(notes, log):
    """Return how many ticks the host's beat has sent that have not run; less than 0 when some ran twice."""
    ran = notes.read_text().count("tick")
    return log.read_text().count("Sending due task tick ") - ran


@pytest.mark.parametrize("shared", [False, True], ids=["two apps", "in the host's app"])
def test_uploads_are_answered_and_the_hosts_jobs_run_once_and_not_here(host, shared):
    folder, environment = host
    notes, ours, theirs = (folder / f"{name}-{shared}" for name in ("notes", "ours.log", "host.log"))
    lanes, queues = (["interactive", "bulk"], "host,socialsongs.maintenance") if shared else ([], "host")
    environment = environment | {"HOST_NOTES": str(notes), "HOST_APP": "host.celery.app" if shared else ""}
    command = [sys.executable, "-m", "django", "socialsongs_worker", *lanes]
    with (
        running(host_worker(folder, queues=queues), folder, environment, theirs) as host_process,
        running(command, folder, environment, ours),
    ):
        wait_until(lambda: " is ready, on cpu" in ours.read_text(), ours)
        consumed = shell(folder, environment, UPLOAD).split("\n")[-2]
        assert consumed.split() == LANES.split()
        reconciled = r"socialsongs.reconcile\[.*succeeded"
        wait_until(lambda: re.search(reconciled, (theirs if shared else ours).read_text()), theirs)
        # The host's task, which its receiver sent from the process that tells of events, went to the host's worker.
        wait_until(lambda: "suggestions_ready" in notes.read_text(), ours)
        # One run for each tick: of the last one, the message may be on its way.
        wait_until(lambda: notes.read_text().count("tick") > 2 and unheard(notes, theirs) in (0, 1), theirs)
        assert unheard(notes, theirs) >= 0
    assert {int(line.split()[1]) for line in notes.read_text().splitlines()} == {host_process.pid}
    assert "tick" not in ours.read_text().partition(" ready.")[2]  # before, it lists the tasks of the app
    assert ("socialsongs." in theirs.read_text()) is shared
    if shared:
        assert not re.search(reconciled, ours.read_text())


def test_a_worker_of_the_host_that_would_fork_does_not_take_the_inference_queues(host):
    folder, environment = host
    done = subprocess.run(
        host_worker(folder, pool="threads", queues="socialsongs.interactive"),
        cwd=folder, env=environment | {"HOST_APP": "host.celery.app"}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "socialsongs.E005" in done.stderr + done.stdout
