"""A crew: the processes of a fault test. It uploads posts, starts and kills workers, and switches faults on and off."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from socialsongs.models import Post, Worker
from socialsongs.services.posts import create_post
from socialsongs.site.processes import BEAT, WORKER
from tests.processes import environment, process, wait_until

from .audit import audit, open_posts
from .forks import forked

QUICK = {
    "SOCIALSONGS_LEASE_SECONDS": "60",  # however busy the machine is, none runs out
    "SOCIALSONGS_RECONCILE_SECONDS": "1",
    "SOCIALSONGS_HEARTBEAT_SECONDS": "1",
    "SOCIALSONGS_INTERACTIVE_BATCH": "2",
    "SOCIALSONGS_SUGGESTIONS": "3",
}
# For tests in which a worker dies: others take its rows when its leases end.
SHORT_LEASES = {"SOCIALSONGS_LEASE_SECONDS": "3"}
COLOURS = ("teal", "gold", "navy", "olive", "plum", "tan", "grey", "indigo", "khaki", "coral")


def plain(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (320, 240), colour).save(file, "JPEG")
    return file.getvalue()


@dataclass
class Crew:
    """``environment`` of all processes; ``posts``: those that were accepted."""

    owner: Any
    folder: Path
    environment: dict[str, str]
    posts: list[Post] = field(default_factory=list)
    lives: int = 0

    def __post_init__(self) -> None:
        self.faults = self.folder / "faults"
        self.faults.mkdir()

    # Processes

    @contextmanager
    def worker(self, node: str = "worker", **extra: str) -> Iterator[BaseProcess]:
        """Run a worker, and kill it at the end: stopping by signal has a test of its own."""
        with self._process(self._worker(node), node, extra) as worker:
            yield worker
            worker.kill()

    @contextmanager
    def worker_with(self, node: str, **extra: str) -> Iterator[None]:
        """Run a worker as a new program, for variables that must be set when the process begins."""
        command, log = self._worker(node), self._log(node)
        with process(command, log, **self.environment | {"FAULTS": str(self.faults)} | extra) as worker:
            yield
            worker.kill()

    def beat(self) -> AbstractContextManager[BaseProcess]:
        return self._process(BEAT, "beat", {})

    def _worker(self, node: str) -> list[str]:
        python, _, *arguments = WORKER
        return [python, "-m", "tests.faults.faulty", *arguments, "--name", f"{node}@%h"]

    def _process(self, command: list[str], name: str, extra: dict[str, str]) -> AbstractContextManager[BaseProcess]:
        return forked(command, self._log(name), environment() | self.environment | {"FAULTS": str(self.faults)} | extra)

    def _log(self, name: str) -> Path:
        """Return the log of a new process; from now on ``wait`` shows its end when it fails."""
        self.lives += 1
        self.log = self.folder / f"{self.lives}-{name}.log"
        self.log.touch()
        return self.log

    def wait(self, true: Callable[[], object], seconds: float = 60) -> None:
        wait_until(true, self.log, seconds)

    def wait_ready(self, *nodes: str) -> None:
        for node in nodes or ("worker",):
            self.wait(Worker.objects.filter(name__startswith=f"{node}@", state=Worker.State.READY).exists)

    # Faults

    def switch_on(self, *faults: str, text: str = "") -> None:
        for fault in faults:
            (self.faults / fault).write_text(text)

    def switch_off(self, *faults: str) -> None:
        for fault in faults:
            (self.faults / fault).unlink()

    @contextmanager
    def held(self, point: str, *colours: str) -> Iterator[list[Post]]:
        """Upload posts and hold the worker at a point of its first batch of them; release it at the end."""
        self.switch_on(f"wait-{point}")
        posts = self.post(*colours)
        self.wait((self.faults / f"at-{point}").exists)
        yield posts
        self.switch_off(f"wait-{point}")

    def looks(self) -> list[tuple[int, int]]:
        """Return process id and number of photos of each forward pass, in order; the first of a process warms it up."""
        lines = (self.faults / "looks").read_text().splitlines()
        return [(int(pid), int(photos)) for pid, photos in map(str.split, lines)]

    # Posts

    def post(self, *colours: str) -> list[Post]:
        """Upload a post of one photo for each colour."""
        made = []
        for colour in colours:
            upload = SimpleUploadedFile("photo.jpg", plain(colour))
            made.append(create_post(owner=self.owner, uploads=[upload])[0])
        self.posts += made
        return made

    def settled(self, posts: list[Post] | None = None, seconds: float = 60) -> str:
        """Wait until all is done and check all invariants; return the states of ``posts`` in words (None: of all)."""
        self.wait(lambda: not open_posts(), seconds)
        found = audit([post.pk for post in self.posts])
        assert (found.lost, found.double) == ([], [])
        for post in self.posts:
            post.refresh_from_db()
        ended = Counter(f"failed ({post.reason})" if post.reason else str(post.state) for post in posts or self.posts)
        return ", ".join(f"{count} {end}" for end, count in ended.most_common())


class Stopwatch:
    def __init__(self) -> None:
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began
