"""How fast the site is beside slow connections: /health/ and an upload, before, during and after them.

A third of the connections sends headers slowly, a third a login body, a third an upload body with a made-up token;
each sends a byte a second and is made anew when the server closes it. Only servers of this script's own are asked.

python bench/slow_connections.py [--connections N] [--seconds S] [--web COMMAND]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from servers import ROOT, bench_folder, environment, own_servers
from upload import free_port, samples

PAUSE_SECONDS = 1.0
ASK_SECONDS = 10.0  # an answer that takes longer counts as missing, with this time
TARGET_SECONDS = 1.0

HEADERS = b"GET /health/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = (
    "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n"
)
OPENINGS = [
    HEADERS,
    BODY.format(path="/accounts/login/", token="").replace("Authorization: Token \r\n", "").encode(),
    BODY.format(path="/api/v1/posts", token="0" * 40).encode(),
]


@contextmanager
def web(command: list[str], port: int, log: Path) -> Iterator[None]:
    program, *arguments = command
    with log.open("wb") as output:
        started = subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), *arguments, f"127.0.0.1:{port}"],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while ask(port, "GET", "/health/")[0] != 200:
            if time.monotonic() > deadline:
                raise SystemExit(log.read_text()[-2000:])
            time.sleep(0.2)
        yield
    finally:
        started.terminate()
        started.wait(30)


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int | None, float]:
    """The status, None where none came, and the seconds."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - began
    except (OSError, http.client.HTTPException):
        return None, ASK_SECONDS
    finally:
        connection.close()


class Drip:
    """Slow connections, on a thread of their own."""

    def __init__(self, port: int, count: int) -> None:
        self.port, self.closed, self.ended = port, 0, threading.Event()
        self.open = [self._connect(number) for number in range(count)]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Drip:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        for connection in self.open:
            connection.close()

    def _connect(self, number: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        connection.sendall(OPENINGS[number % len(OPENINGS)])
        return connection

    def _run(self) -> None:
        while not self.ended.wait(PAUSE_SECONDS):
            for number, connection in enumerate(self.open):
                try:
                    connection.sendall(b"x")
                except OSError:
                    self.closed += 1
                    connection.close()
                    with suppress(OSError):
                        self.open[number] = self._connect(number)


def measure(seconds: float, asks: dict[str, Callable[[], tuple[int | None, float]]]) -> dict[str, dict[str, float]]:
    """Send each request in turn, about twice a second."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    missing = dict.fromkeys(asks, 0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for name, how in asks.items():
            status, took = how()
            times[name].append(took)
            missing[name] += status not in (200, 202)
        time.sleep(0.3)
    return {
        name: {
            "asked": len(took), "not_answered": missing[name],
            "median_s": round(statistics.median(took), 3), "worst_s": round(max(took), 3),
        }
        for name, took in times.items()
    }  # fmt: skip


def rate(seconds: float, how: Callable[[], tuple[int | None, float]], clients: int = 8) -> float:
    """Return answers per second to ``clients`` concurrent clients, without slow connections."""
    done = [0] * clients
    deadline = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < deadline:
            done[number] += how()[0] in (200, 202)

    threads = [threading.Thread(target=work, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(done) / seconds, 1)


def uploader(port: int) -> Callable[[], tuple[int | None, float]]:
    """Return a function that uploads a real photo with a valid token."""
    from django.contrib.auth import get_user_model

    from socialsongs.site.tokens import issue

    user = get_user_model()._default_manager.create_user("poster")
    _, token = issue(user=user, name="bench", scopes=["write"], days=1)
    photo = next(path for path in samples() if path.suffix == ".jpg").read_bytes()
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; filename="photo.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    return lambda: ask(port, "POST", "/api/v1/posts", body, Authorization=f"Token {token}", Content_Type=kind)


def main() -> None:
    from socialsongs.site.processes import WEB

    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--web", default=shlex.join(WEB), help="the server's command, to which the address is added")
    options = parser.parse_args()
    folder = bench_folder()
    os.environ.update(environment(folder) | {"SOCIALSONGS_UPLOAD_RATE": "100000/hour"})
    with own_servers(folder):
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        port = free_port()
        upload = uploader(port)
        with web(shlex.split(options.web), port, folder / "web.log"):
            health = lambda: ask(port, "GET", "/health/")  # noqa: E731
            figures: dict[str, object] = {"connections": options.connections}
            figures["rate"] = {"health_per_s": rate(5, health), "uploads_per_s": rate(5, upload)}
            with Drip(port, options.connections) as slow:
                time.sleep(2)
                figures["meanwhile"] = measure(options.seconds, {"health": health, "upload": upload})
                figures["closed_by_the_server"] = slow.closed
            figures["after"] = measure(2, {"health": health, "upload": upload})
        django.db.connections.close_all()
    for name, found in figures.items():
        print(f"{name:22} {found}")
    meanwhile = figures["meanwhile"]
    assert isinstance(meanwhile, dict)
    figures["target_met"] = all(
        one["worst_s"] < TARGET_SECONDS and not one["not_answered"] for one in meanwhile.values()
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
