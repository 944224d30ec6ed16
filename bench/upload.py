"""From the upload to the songs: one photo after another through the API of a fresh `manage.py demo`; memory by process.

Before that, what decoding in separate processes costs: photos per second that four threads check and re-encode, as
the web process does it and with the decoder called in the threads themselves, in turns.

python bench/upload.py [--decoders-only] [PHOTO ...]
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from django.conf import settings
from django.core.files.base import ContentFile
from PIL import Image
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from socialsongs.decoding import decode as decoding
from socialsongs.decoding.messages import Task
from socialsongs.intake import clean_photo, pool

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = {
    "skimage": [f"data/{name}" for name in (
        "coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
        "camera.png", "grass.png",
    )],
    "sklearn": ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
}  # fmt: skip
POST_SECONDS, POLL_SECONDS = 60, 0.02
THREADS, ROUNDS = 4, 15
MIB = 1024 * 1024


def samples() -> list[Path]:
    folders = {package: Path(find_spec(package).submodule_search_locations[0]) for package in SAMPLES}  # type: ignore
    return [folders[package] / name for package, names in SAMPLES.items() for name in names]


def large_photos() -> list[bytes]:
    """Make photos of usual cameras and screens, 2 to 12 million pixels."""
    made = []
    for format, size in (("JPEG", (4000, 3000)), ("JPEG", (1920, 1080)), ("PNG", (1920, 1080)), ("WEBP", (2000, 1500))):
        noise = Image.effect_noise((size[0] // 8, size[1] // 8), 60).resize(size)
        image = Image.merge("RGB", (noise, noise.transpose(Image.Transpose.ROTATE_180), noise))
        file = BytesIO()
        image.save(file, format)
        made.append(file.getvalue())
    return made


@contextmanager
def in_these_threads() -> Iterator[None]:
    def decode(task: Task, content: bytes, profile: bytes) -> tuple[dict[str, Any], list[bytes]]:
        jpeg, (width, height) = decoding.decode(task, content, profile)
        return {"width": width, "height": height}, [jpeg]

    with patch.object(pool, "decode", decode):
        yield


def processor_seconds() -> float:
    processes = [psutil.Process(), *psutil.Process().children()]
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)


def uploads_per_second(photos: list[bytes], threads: ThreadPoolExecutor) -> tuple[float, float]:
    """Return uploads per second of wall time, and per second of processor time."""
    began, used = time.monotonic(), processor_seconds()
    list(threads.map(lambda photo: clean_photo(ContentFile(photo)), photos))
    return len(photos) / (time.monotonic() - began), len(photos) / (processor_seconds() - used)


def cost_of_decoders(photos: list[bytes], rounds: int) -> dict[str, float]:
    """Return medians over rounds with both, so that other load of the machine affects both."""
    rates: dict[str, list[tuple[float, float]]] = {"here": [], "apart": []}
    with ThreadPoolExecutor(THREADS) as threads:
        uploads_per_second(photos, threads)  # starts the processes
        for _ in range(rounds):
            rates["apart"].append(uploads_per_second(photos, threads))
            with in_these_threads():
                rates["here"].append(uploads_per_second(photos, threads))
    pairs = list(zip(rates["apart"], rates["here"], strict=True))
    return {
        "uploads_per_s": round(statistics.median(rate for rate, _ in rates["apart"]), 1),
        "uploads_per_s_in_web_process": round(statistics.median(rate for rate, _ in rates["here"]), 1),
        "decoders_ratio": round(statistics.median(apart[0] / here[0] for apart, here in pairs), 3),
        # The same by processor time, for machines with other load.
        "decoders_processor_ratio": round(statistics.median(apart[1] / here[1] for apart, here in pairs), 3),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(var: str, port: int) -> tuple[subprocess.Popen[str], str, float]:
    """Start the demo; return its process, the poster's token, and the seconds until it was ready."""
    environment = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    # The limits for people would slow the clock down: it polls every few milliseconds.
    environment |= {"VAR_DIR": var, "COLUMNS": "200", "SOCIALSONGS_READ_RATE": "100000/hour"}
    began = time.monotonic()
    demo = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert demo.stdout is not None
    token = ""
    for line in demo.stdout:
        if found := re.search(r"Token ([0-9a-f]{40})", line):
            token = found[1]
        if "Ctrl-C stops" in line:
            return demo, token, time.monotonic() - began
    raise SystemExit("The demo did not start; run `make demo` to see why.")


def post(site: str, token: str, photo: Path) -> dict[str, Any]:
    """Post a photo; return the post with the seconds of the upload and those until its songs."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; filename="{photo.name}"\r\n\r\n'
    body = head.encode() + photo.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Authorization": f"Token {token}"}
    request = urllib.request.Request(
        f"{site}/api/v1/posts", body, {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    accepted = time.monotonic()
    while found["state"] not in ("ready", "failed"):
        if time.monotonic() - accepted > POST_SECONDS:
            raise SystemExit(f"{photo.name} was not ready within {POST_SECONDS} s.")
        time.sleep(POLL_SECONDS)
        with urllib.request.urlopen(urllib.request.Request(found["url"], headers=headers), timeout=30) as response:
            found = json.load(response)
    return {**found, "upload_s": accepted - began, "ready_s": time.monotonic() - accepted}


def memory(demo: int) -> dict[str, float]:
    """Return the largest resident set of each kind of process, MiB."""
    largest: dict[str, float] = {}
    for process in psutil.Process(demo).children(recursive=True):
        command = " ".join(process.cmdline())
        for name, mark in (("web", "gunicorn"), ("worker", "interactive bulk"), ("maintenance", "worker maintenance")):
            if mark in command:
                largest[name] = max(largest.get(name, 0.0), process.memory_info().rss / MIB)
    return largest


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("photo", nargs="*", type=Path)
    parser.add_argument("--decoders-only", action="store_true", help="no demo: only what the decoders cost")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    photos = options.photo or samples()
    console = Console()
    settings.configure()
    mixed = [*[path.read_bytes() for path in photos], *large_photos()] * 2
    cost = cost_of_decoders(mixed, options.rounds)
    table = Table(
        "decoded", "uploads per second", title=f"{len(mixed)} photos, {THREADS} threads, {os.cpu_count()} cores"
    )
    table.add_row("in separate processes", f"{cost['uploads_per_s']:.1f}")
    table.add_row("in the web process", f"{cost['uploads_per_s_in_web_process']:.1f}")
    console.print(table)
    if options.decoders_only:
        print(json.dumps(cost))
        return
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="socialsongs-bench-") as var:
        demo, token, start_s = start(var, port)
        try:
            posts = [post(site, token, photo) for photo in photos]
            resident = memory(demo.pid)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(60)
    table = Table("photo", "upload, s", "until ready, s", "state", "first song", title=f"{os.cpu_count()} cores")
    for photo, found in zip(photos, posts, strict=True):
        first = found["suggestions"][0]["song"]["title"] if found["suggestions"] else ""
        table.add_row(photo.name, f"{found['upload_s']:.2f}", f"{found['ready_s']:.2f}", found["state"], first)
    console.print(table)
    sizes = Table("process", "largest resident set, MiB")
    for name, size in resident.items():
        sizes.add_row(name, f"{size:.0f}")
    console.print(sizes)
    ready = sorted(found["ready_s"] for found in posts)
    figures = cost | {
        "first_start_s": round(start_s, 1),
        "ready_p50_s": round(statistics.median(ready), 3),
        "ready_max_s": round(ready[-1], 3),
        "web_mib": round(resident["web"]),
        "worker_mib": round(resident["worker"]),
        "maintenance_mib": round(resident["maintenance"]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    try:
        main()
    except http.client.HTTPException as error:
        raise SystemExit(f"The web server went away: {error}") from error
