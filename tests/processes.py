"""Starts the real processes of a deployment for a test, against the test's own database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from socialsongs.site.embedded import die_with_parent

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """Return this process's environment, with the address of the test database."""
    url, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    return {
        **os.environ,
        "DATABASE_URL": f"{url}/{connection.settings_dict['NAME']}",
        "MEDIA_ROOT": settings.MEDIA_ROOT,
    }


@contextmanager
def process(command: list[str], log: Path, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the virtual environment and stop it at the end. Its output goes to ``log``."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            cwd=ROOT,
            env=environment() | extra,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def holds(server: int, connection: socket.socket) -> bool:
    """Whether a process that ``server`` started has accepted the connection, and not closed it yet."""
    ours = connection.getsockname()[1]
    return any(
        other.raddr and other.raddr.port == ours
        for child in psutil.Process(server).children()
        for other in child.net_connections()
    )


def wait_until(true: Callable[[], object], log: Path, seconds: float = 90) -> None:
    """Poll until ``true`` returns a true value. Raises AssertionError, with the end of the log, when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        time.sleep(0.1)
