"""The processes of the demo: started together, restarted when one dies, stopped by Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .embedded import die_with_parent
from .processes import BEAT, WEB, WORKER

STOP_SECONDS = 10
MIN_FREE_BYTES = 500 * 1024 * 1024
QUICK_DEATH_SECONDS = 10
GIVE_UP_AFTER = 4


class DemoError(Exception):
    """The demo cannot start or go on; the text says why and what to do."""


@contextmanager
def only_one(var: Path, address: str) -> Iterator[None]:
    """Hold the lock of the only demo in ``var``; the kernel releases it when the process dies. Raises DemoError."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "demo.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DemoError(f"A demo is running already: {file.read().strip()}. Stop it with Ctrl-C there.") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {address}")
        file.flush()
        yield


def check_port(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise DemoError(f"{port} is not a port. Choose one from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise DemoError(
                f"Port {port} of {host} cannot be used: {error.strerror}. Stop what uses it, or choose another: "
                f"make demo PORT={port + 1}"
            ) from error


def check_disk(var: Path) -> None:
    status = os.statvfs(var)
    free = status.f_bavail * status.f_frsize
    if free < MIN_FREE_BYTES:
        raise DemoError(f"Only {free // 2**20} MB are free where {var} is; {MIN_FREE_BYTES // 2**20} MB are needed.")


def passwords(var: Path) -> dict[str, str]:
    """Return the passwords by account, which are created once and kept for the next start."""
    path = var / "demo.json"
    if path.exists():
        kept: dict[str, str] = json.loads(path.read_text())
        return kept
    made = {name: secrets.token_urlsafe(9) for name in ("staff", "poster")}
    path.touch(mode=0o600)
    path.write_text(json.dumps(made))
    return made


@dataclass
class Child:
    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    quick_deaths: int = 0


class Children:
    """The processes of the demo: started together, restarted when one dies, stopped together."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self.logs = logs
        self.environment = environment
        self.children: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: list[str]) -> None:
        log = self.logs / f"{name}.log"
        self.children.append(Child(name, command, log, self._spawn(command, log)))

    def _spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        program, *arguments = command
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(Path(sys.executable).with_name(program)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is for the demo, which stops its children in order
                preexec_fn=die_with_parent,
            )

    def look_after(self, say: IO[str]) -> None:
        """Restart processes that died. Raises DemoError when one dies again and again."""
        for child in self.children:
            code = child.process.poll()
            if code is None:
                continue
            quick = time.monotonic() - child.started < QUICK_DEATH_SECONDS
            child.quick_deaths = child.quick_deaths + 1 if quick else 0
            if child.quick_deaths >= GIVE_UP_AFTER:
                end = "\n  ".join(child.log.read_text(errors="replace").splitlines()[-10:])
                raise DemoError(f"{child.name} stops again and again at its start. The end of {child.log}:\n  {end}")
            print(f"{child.name} stopped (exit code {code}) and is started again; see {child.log}", file=say)
            child.process, child.started = self._spawn(child.command, child.log), time.monotonic()

    def stop(self) -> None:
        for child in self.children:
            if child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()


def commands(host: str, port: int, var: Path) -> dict[str, list[str]]:
    return {
        "worker": WORKER,
        "beat": BEAT,
        "web": [*WEB, f"{host}:{port}"],
    }


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
