"""A site to be fuzzed: the real web server and, where wanted, a real worker, with no limits on rates."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from socialsongs.site.processes import WEB, WORKER

from ..processes import free_port, process

MIB = 1024 * 1024
RATES = {f"SOCIALSONGS_{name}_RATE": "1000000000/hour" for name in ("UPLOAD", "REQUEST", "READ", "FEEDBACK")}
LIMITS = RATES | {"SOCIALSONGS_MAX_WAITING_PHOTOS": "1000000", "SOCIALSONGS_ANSWER_SECONDS": "0.2"}


# Two web processes with two decoders each, of which each may take 75 MB and ``DECODE_MEMORY_MIB``.
MOST_MB = 2 * 250 + 4 * (75 + 224)


class Site:
    """``peak_mb``: the most memory that the web server had with its decoders, sampled ten times a second."""

    def __init__(self, url: str, web: psutil.Process, log: Path) -> None:
        self.url, self.web, self.log, self.peak_mb = url, web, log, 0.0

    def watch(self, stop: threading.Event) -> None:
        while not stop.wait(0.1):
            self.measure()

    def measure(self) -> None:
        held = 0.0
        with suppress(psutil.NoSuchProcess):
            for each in (self.web, *self.web.children(recursive=True)):
                held += each.memory_info().rss / MIB
        self.peak_mb = max(self.peak_mb, held)

    @property
    def alive(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/", timeout=20) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Run the web server on the database of this process's Django; its log is ``web.log`` in the folder."""
    port, log = free_port(), folder / "web.log"
    with process([*WEB, f"127.0.0.1:{port}"], log, **LIMITS) as started:
        site = Site(f"http://127.0.0.1:{port}", psutil.Process(started.pid), log)
        deadline = time.monotonic() + 90
        while not site.alive:
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        stop = threading.Event()
        watching = threading.Thread(target=site.watch, args=[stop])
        watching.start()
        try:
            yield site
        finally:
            stop.set()
            watching.join()


@contextmanager
def running_worker(folder: Path) -> Iterator[None]:
    with process(WORKER, folder / "worker.log", **LIMITS):
        yield


@contextmanager
def test_database() -> Iterator[None]:
    """Make an empty database as the tests have it, and drop it at the end."""
    from django.db import connection
    from django.test.utils import setup_test_environment, teardown_test_environment

    setup_test_environment()
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)
        teardown_test_environment()
