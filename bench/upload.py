"""From the upload to the songs: one photo after another through the API of a fresh `manage.py demo`; memory by process.

python bench/upload.py [PHOTO ...]
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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = {
    "skimage": [f"data/{name}" for name in (
        "coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
        "camera.png", "grass.png",
    )],
    "sklearn": ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
}  # fmt: skip
POST_SECONDS, POLL_SECONDS = 60, 0.02
MIB = 1024 * 1024


def samples() -> list[Path]:
    folders = {package: Path(find_spec(package).submodule_search_locations[0]) for package in SAMPLES}  # type: ignore
    return [folders[package] / name for package, names in SAMPLES.items() for name in names]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(var: str, port: int) -> tuple[subprocess.Popen[str], str, float]:
    """The running demo, the poster's token, and the seconds until it was ready."""
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
    """The queued post, with the seconds that the upload took and those from its answer to the songs."""
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
    """The largest resident set of each kind of process, MiB."""
    largest: dict[str, float] = {}
    for process in psutil.Process(demo).children(recursive=True):
        command = " ".join(process.cmdline())
        for name, mark in (("web", "gunicorn"), ("worker", "interactive,bulk"), ("maintenance", "-Q maintenance")):
            if mark in command:
                largest[name] = max(largest.get(name, 0.0), process.memory_info().rss / MIB)
    return largest


def main() -> None:
    photos = [Path(name) for name in sys.argv[1:]] or samples()
    console = Console()
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
    table = Table("photo", "upload s", "ready s", "state", "first song", title=f"{os.cpu_count()} cores")
    for photo, found in zip(photos, posts, strict=True):
        first = found["suggestions"][0]["song"]["title"] if found["suggestions"] else ""
        table.add_row(photo.name, f"{found['upload_s']:.2f}", f"{found['ready_s']:.2f}", found["state"], first)
    console.print(table)
    sizes = Table("process", "largest resident set, MiB")
    for name, size in resident.items():
        sizes.add_row(name, f"{size:.0f}")
    console.print(sizes)
    ready = sorted(found["ready_s"] for found in posts)
    figures = {
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
