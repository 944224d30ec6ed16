"""A PgBouncer between the processes of a test and the test's database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import environ
from django.db import connection

from .processes import free_port, process, wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Two connections for all processes: each transaction gets whichever is free.
SETTINGS = """
[databases]
{name} = {address} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
"""
KEYS = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}


@contextmanager
def pooling(tmp_path: Path) -> Iterator[str]:
    """Start it in transaction mode; yield the address of the test's database through it."""
    assert PROGRAM
    port, log, name = free_port(), tmp_path / "pgbouncer.log", connection.settings_dict["NAME"]
    server = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    address = " ".join(f"{option}={server[key]}" for key, option in KEYS.items() if server[key])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # it refuses to run as root, and reads its settings as the user of PostgreSQL
        settings = folder / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(name=name, address=address, port=port))
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        stack.enter_context(process([PROGRAM, *user, str(settings)], log))
        wait_until(lambda: "process up" in log.read_text(), log)
        yield f"postgres://{server['USER']}@127.0.0.1:{port}/{name}"
