"""Posts for minutes on end while workers, the reconciler, Redis and PostgreSQL are killed; the rows are checked then.

python -m tests.faults.soak --posts 5000 --minutes 10 --seed 1
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import django
import psutil
from PIL import Image
from rich.console import Console
from rich.table import Table

from socialsongs.site.embedded import die_with_parent
from socialsongs.site.processes import BEAT, WORKER

from .own import OwnServers

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {
    "SOCIALSONGS_LEASE_SECONDS": "20",
    "SOCIALSONGS_RECONCILE_SECONDS": "2",
    "SOCIALSONGS_MAX_WAITING_PHOTOS": "1000000",  # all are one person's
}
KINDS = {"worker": 6, "reconciler": 1, "redis": 2, "postgres": 2}  # weights of eleven kills
GAPS = (3.0, 12.0)  # seconds from one kill to the next
AWAY = (0.5, 5.0)  # seconds until a server is started again
TAMPERED = 0.04  # share of posts whose file vanishes or is damaged after the upload
console = Console(stderr=True)


class Service:
    """A process that is restarted whenever it has ended."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
        self.output = log.open("ab")
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def tend(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.starts += 1
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdout=self.output, stderr=self.output, preexec_fn=die_with_parent
            )

    def kill(self) -> None:
        """Kill it with its children, as the death of a container does: Celery's beat may be one."""
        if self.process is None or self.process.poll() is not None:
            return
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()
        self.process.kill()
        self.process.wait()


class Soak:
    """``accepted``: post by the key of its upload; ``tampered``: posts that may fail for their photo."""

    def __init__(self, folder: Path, servers: OwnServers, chance: random.Random) -> None:
        self.servers, self.chance = servers, chance
        self.services = {
            "worker": Service(WORKER, folder / "worker.log"),
            "reconciler": Service(BEAT, folder / "reconciler.log"),
        }
        self.kills: Counter[str] = Counter()
        self.accepted: dict[str, uuid.UUID] = {}
        self.tampered: set[uuid.UUID] = set()
        self.start_again: float | None = None
        self.retries = 0

    def tend(self) -> None:
        if self.start_again and time.monotonic() > self.start_again:
            self.servers.start()
            self.start_again = None
        for service in self.services.values():
            service.tend()

    def kill_something(self) -> None:
        if self.start_again:  # one server at a time, so that the recovery from each is tested
            return
        kind = self.chance.choices(list(KINDS), list(KINDS.values()))[0]
        self.kills[kind] += 1
        match kind:
            case "redis":
                self.servers.kill_redis()
            case "postgres":
                self.servers.stop_postgres(self.chance.choice([signal.SIGINT, signal.SIGQUIT]))
            case _:
                self.services[kind].kill()
                return
        self.start_again = time.monotonic() + self.chance.uniform(*AWAY)

    def upload(self, key: str, photos: list[bytes], owner: Any) -> bool:
        """Upload a post; return False when the database is away: try again with the same key."""
        from django.core.files.uploadedfile import SimpleUploadedFile
        from django.db import InterfaceError, OperationalError, connection

        from socialsongs.errors import StillRunning
        from socialsongs.services.posts import create_post

        uploads = [SimpleUploadedFile("photo", photo) for photo in photos]
        try:
            post, _ = create_post(owner=owner, uploads=uploads, idempotency_key=key)
            self.accepted[key] = post.pk
            self.tamper(post)
        except (OperationalError, InterfaceError, StillRunning):
            connection.close()
            self.retries += 1
            return False
        return True

    def tamper(self, post: Any) -> None:
        if self.chance.random() > TAMPERED:
            return
        self.tampered.add(post.pk)
        image = post.photos.all()[0].image
        if self.chance.random() < 0.5:
            image.storage.delete(image.name)
        else:
            Path(image.path).write_bytes(b"no photo")

    def run(self, posts: int, minutes: float, owner: Any) -> None:
        """Upload at a constant rate and kill processes in between; longer when the machine does not keep up."""
        pool = varied_photos(self.chance)
        began = time.monotonic()
        kill_at = began + self.chance.uniform(*GAPS)
        waiting: tuple[str, list[bytes]] | None = None
        while len(self.accepted) < posts or time.monotonic() < began + 60 * minutes:
            self.tend()
            if time.monotonic() > kill_at:
                self.kill_something()
                kill_at = time.monotonic() + self.chance.uniform(*GAPS)
            due = posts * (time.monotonic() - began) / (60 * minutes)
            if len(self.accepted) < min(posts, due):
                waiting = waiting or (
                    uuid.uuid4().hex,
                    self.chance.choices(pool, k=self.chance.choice([1, 1, 1, 1, 2])),
                )
                if self.upload(*waiting, owner):
                    waiting = None
                    continue
            time.sleep(0.02)

    def wait(self, true: Callable[[], object], seconds: float) -> bool:
        """Wait without further kills; return False when ``true`` did not come true in time."""
        from django.db import connection

        if self.start_again:
            self.start_again = time.monotonic()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.tend()
            connection.close()
            if true():
                return True
            time.sleep(0.5)
        return False


def varied_photos(chance: random.Random) -> list[bytes]:
    """Return real photos, whole and cropped, small and large."""
    from socialsongs.site.sample_photos import sample_photos

    made = []
    for path in sample_photos().values():
        with Image.open(path) as whole:
            photo = whole.convert("RGB")
        for side in (200, 480, 1000):
            left, top = (chance.randrange(length // 3) for length in photo.size)
            part = photo.crop((left, top, left + photo.width * 2 // 3, top + photo.height * 2 // 3))
            file = BytesIO()
            part.resize((side, side * part.height // part.width)).save(file, chance.choice(["JPEG", "JPEG", "PNG"]))
            made.append(file.getvalue())
        made.append(path.read_bytes())
    assert made, "scikit-image and scikit-learn bring the photos"
    return made


def percentile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else None


def check(soak: Soak) -> dict[str, Any]:
    """Compare the rows with the accepted posts."""
    from socialsongs.models import Post, State

    from .audit import audit

    found = audit(soak.accepted.values())
    photo = Post.objects.filter(state=State.FAILED, reason__startswith="photo_").exclude(pk__in=soak.tampered)
    found.lost += [f"post {post.pk} failed as {post.reason}, its file was not touched" for post in photo]
    for line in (found.lost + found.double)[:20]:
        console.print(f"[red]{line}")
    times = Post.objects.exclude(finished_at=None).values_list("created_at", "finished_at")
    seconds = [(end - begin).total_seconds() for begin, end in times]
    return {
        "accepted": len(soak.accepted),
        "ready": found.states[State.READY],
        "failed": found.states[State.FAILED],
        "reasons": dict(sorted(found.reasons.items())),
        "lost": len(found.lost),
        "double": len(found.double),
        "kills": soak.kills.total(),
        "kills_by_kind": dict(sorted(soak.kills.items())),
        "uploads_retried": soak.retries,
        "p50_s": percentile(seconds, 0.5),
        "p95_s": percentile(seconds, 0.95),
    }


def prepare() -> Any:
    """Set up an empty site with the sample catalogue; return the poster."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("releases", "register", verbosity=0)
    call_command("import_songs", sample=True, verbosity=0)
    return get_user_model().objects.create_user("poster", password=None)


def tell(result: dict[str, Any]) -> None:
    table = Table(title="Soak", show_header=False)
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    print(json.dumps(result))


def soak(options: argparse.Namespace, folder: Path) -> int:
    with OwnServers(folder / "servers") as servers:
        os.environ |= servers.environment | LIMITS | {
            "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings",
            "SECRET_KEY": uuid.uuid4().hex * 2,
            "SECURE_SSL": "0",
            "VAR_DIR": str(folder),
            "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        django.setup()
        logging.getLogger("socialsongs.dispatch").setLevel(logging.ERROR)  # the broker is often away here
        from socialsongs.models import SongEmbedding, State

        from .audit import open_posts

        owner = prepare()
        running = Soak(folder, servers, random.Random(options.seed))
        unread = SongEmbedding.objects.exclude(state=State.READY)
        try:
            if not running.wait(lambda: not unread.exists(), 300):
                raise SystemExit("The sample catalogue was not encoded within 300 s.")
            running.run(options.posts, options.minutes, owner)
            ended = running.wait(lambda: not open_posts() and not unread.exists(), 300 + options.posts)
            result = check(running)
        finally:
            for service in running.services.values():
                service.kill()
        tell({"seed": options.seed, "everything_ended": ended, **result})
        return int(bool(result["lost"] or result["double"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs and say where it is")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="socialsongs-soak-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    try:
        return soak(options, folder)
    finally:
        if options.keep:
            console.print(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
