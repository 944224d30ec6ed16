"""`manage.py demo`: it starts everything on a bare machine, and says why when it cannot."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from redis import Redis
from rich.console import Console

from socialsongs.site import demo, embedded
from socialsongs.site.embedded import EmbeddedServerError, die_with_parent
from socialsongs.site.management.commands import demo as command

from .processes import ROOT, free_port, wait_until

# Settings of the tests, which the demo must not inherit.
TOLD = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SECURE_SSL", "STATIC_ROOT", "MEDIA_ROOT")


@pytest.fixture
def var():
    """Return an empty folder that PostgreSQL's user may enter; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="socialsongs-demo-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def port():
    return free_port()


class Demo:
    """A running demo, used through HTTP."""

    def __init__(self, process, site, log):
        self.process, self.site, self.log = process, site, log
        self.token = re.search(r"Authorization: Token ([0-9a-f]{40})", log.read_text())[1]
        self.children = psutil.Process(process.pid).children(recursive=True)

    def call(self, path, **files):
        body = encode_multipart(BOUNDARY, files) if files else None
        headers = {"Authorization": f"Token {self.token}", "Content-Type": MULTIPART_CONTENT}
        request = urllib.request.Request(f"{self.site}/api/v1{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def post(self, photo):
        post = self.call("/posts", photos=SimpleUploadedFile("photo.png", photo))
        path = f"/posts/{post['id']}"
        wait_until(lambda: self.call(path)["state"] not in ("queued", "analysing"), self.log)
        return path

    def nothing_is_left(self):
        assert len(self.children) > 6  # web, worker, reconciler and servers, with their own children
        wait_until(lambda: not any(lives(child) for child in self.children), self.log, 30)


def lives(process):
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def started(var, port, log):
    environment = {key: value for key, value in os.environ.items() if key not in TOLD} | {"VAR_DIR": str(var)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=output, stderr=output, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        wait_until(lambda: "SocialSongs is ready" in log.read_text() or process.poll() is not None, log, 150)
        assert process.poll() is None, log.read_text()
        yield Demo(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(60)


# The demo as a process, with the release that ships


@pytest.mark.worker
def test_posts_outlive_a_kill_and_ctrl_c_ends_all_of_it(var, port, photo_bytes, tmp_path):
    with started(var, port, tmp_path / "first.log") as running:
        with urllib.request.urlopen(f"{running.site}/", timeout=20) as page:
            assert page.url == f"{running.site}/accounts/login/?next=/"
        path = running.post(photo_bytes("PNG"))
        post = running.call(path)
        assert post["state"] == "ready"
        assert [suggestion["rank"] for suggestion in post["suggestions"]] == list(range(1, 11))
        running.process.kill()
        running.nothing_is_left()
    with started(var, port, tmp_path / "second.log") as running:
        assert running.call(path) == post
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0, running.log.read_text()
        running.nothing_is_left()


# Reasons not to start


def refusal(var, port):
    """Run `manage.py demo` with the servers of the tests; return its exit code and output."""
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=ROOT, env={**os.environ, "VAR_DIR": str(var)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_taken_port_is_named_with_a_way_out(port, tmp_path):
    with socket.create_server(("127.0.0.1", port)):
        code, said = refusal(tmp_path, port)
    assert code == 1
    assert f"Port {port} of 127.0.0.1 cannot be used: Address already in use." in said
    assert f"make demo PORT={port + 1}" in said


def test_a_second_demo_is_told_where_the_first_one_runs(port, tmp_path):
    with demo.only_one(tmp_path, "http://first.example"):
        code, said = refusal(tmp_path, port)
    assert code == 1
    assert f"A demo is running already: process {os.getpid()}, http://first.example. Stop it with Ctrl-C" in said


def test_a_killed_holder_leaves_no_lock(tmp_path):
    code = "import sys, time; from pathlib import Path; from socialsongs.site.demo import only_one\n"
    code += "with only_one(Path(sys.argv[1]), 'http://killed.example'): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(demo.DemoError, match=f"process {holder.pid}"),
            demo.only_one(tmp_path, "http://next.example"),
        ):
            pass
        holder.kill()
    with demo.only_one(tmp_path, "http://next.example"):
        assert "killed" not in (tmp_path / "demo.lock").read_text()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    demo.check_disk(tmp_path)
    monkeypatch.setattr(demo, "MIN_FREE_BYTES", 2**60)
    with pytest.raises(demo.DemoError, match=rf"Only \d+ MB are free where {tmp_path} is; {2**40} MB are needed"):
        demo.check_disk(tmp_path)


def test_the_passwords_are_made_once_and_nobody_else_reads_them(tmp_path):
    made = demo.passwords(tmp_path)
    assert set(made) == {"staff", "poster"}
    assert len(set(made.values())) == 2
    assert demo.passwords(tmp_path) == made
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600


# The embedded servers


def test_the_servers_need_room_and_say_what_to_do(var, monkeypatch):
    monkeypatch.setattr(embedded.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(EmbeddedServerError, match=r"Only 5 MB are free.*Free some space"), embedded.running(var):
        pass
    assert not list(var.rglob("PG_VERSION"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(var):
    (var / "sockets").mkdir()
    os.chown(var / "sockets", 12345, 12345)
    with (
        pytest.raises(EmbeddedServerError, match=r"sockets belongs to another user \(uid 12345\)"),
        embedded.running(var),
    ):
        pass


CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
with socket.socket(socket.AF_UNIX) as other:
    try:
        other.connect(sys.argv[3])
    except PermissionError:
        sys.exit(13)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_other_user_of_the_machine_reaches_the_servers(var):
    places = embedded._places(var)
    nobody = pwd.getpwnam("nobody")
    places.sockets.mkdir(mode=0o777)  # an older one, open to all
    places.sockets.chmod(0o777)
    os.chown(places.sockets, nobody.pw_uid, nobody.pw_gid)
    with embedded.running(var):
        assert places.sockets.stat().st_mode & 0o777 == 0o700
        redis, postgres = places.sockets / "redis.sock", places.sockets / ".s.PGSQL.5432"
        assert redis.stat().st_mode & 0o777 == 0o700
        assert postgres.stat().st_mode & 0o777 == 0o700
        # PostgreSQL runs as nobody, whose folder it is; Redis is not nobody's.
        for user, group, path in (
            (12345, 12345, redis), (12345, 12345, postgres), (nobody.pw_uid, nobody.pw_gid, redis),
        ):  # fmt: skip
            command = [sys.executable, "-c", CONNECT, str(user), str(group), str(path)]
            assert subprocess.run(command, check=False).returncode == 13
        with Redis(unix_socket_path=str(redis)) as ours:
            assert ours.config_get("port") == {"port": "0"}


def test_a_narrow_terminal_cuts_no_password_off(monkeypatch):
    told = StringIO()
    monkeypatch.setattr(command, "console", Console(file=told, width=40))
    command._welcome("http://127.0.0.1:8000", {"poster": "AGouknxEynWN", "staff": "-Mk4TornPlBo"}, "0" * 40)
    for whole in ("password AGouknxEynWN\n", "password -Mk4TornPlBo\n", f"token of poster: {'0' * 40}\n"):
        assert whole in told.getvalue()
