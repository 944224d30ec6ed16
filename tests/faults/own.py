"""Servers of one test, which may stop, kill and restart them."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
from redis import Redis

from socialsongs.site.embedded import NAME, Servers, locations, running


class OwnServers:
    """Embedded servers in one folder. Start them from the main thread: they die with the thread that started them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: Servers = locations(folder)
        self.sockets = str(Path(self.servers.redis_url.removeprefix("unix://")).parent)
        self._started = ExitStack()

    def __enter__(self) -> OwnServers:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def start(self) -> None:
        """Start those that do not run. A restarted Redis is empty."""
        self._started.enter_context(running(self.folder))
        with psycopg.connect(host=self.sockets, user=NAME, dbname=NAME, autocommit=True) as connection:
            found = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        self.postgres = int(found[0].split()[0])
        with Redis.from_url(self.servers.redis_url) as redis:
            self.redis = int(redis.info("server")["process_id"])

    def stop_postgres(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop PostgreSQL: SIGINT ends all connections; SIGQUIT leaves the files as a crash of the machine does."""
        _end(self.postgres, how)

    def kill_redis(self) -> None:
        _end(self.redis, signal.SIGKILL)

    @property
    def environment(self) -> dict[str, str]:
        redis = self.servers.redis_url
        return {"DATABASE_URL": self.servers.database_url, "REDIS_URL": redis, "SOCIALSONGS_BROKER_URL": broker(redis)}


def broker(redis_url: str) -> str:
    return redis_url.replace("unix://", "redis+socket://", 1)


def _end(pid: int, how: signal.Signals) -> None:
    os.kill(pid, how)
    with suppress(ChildProcessError):  # not our child, if it ran before
        os.waitpid(pid, 0)
