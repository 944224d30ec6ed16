"""Loaded before Django's settings (``-p tests.servers``): the servers and the environment of all tests.

PostgreSQL with pgvector and Redis are real: embedded ones, unless the environment names others.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from socialsongs.site.embedded import running

ROOT = Path(__file__).resolve().parents[1]
_servers = ExitStack()
atexit.register(_servers.close)

# Each pytest process (``-n``) has servers of its own: tests empty them, and some stop them.
PART = os.environ.get("PYTEST_XDIST_WORKER", "main")
if "DATABASE_URL" not in os.environ or PART != "main":
    found = _servers.enter_context(running(ROOT / "var" / "test" / PART))
    os.environ |= {"DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}

folder = tempfile.mkdtemp(prefix="socialsongs-test-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ |= {
    "SECRET_KEY": "only-for-the-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
    "SECURE_SSL": "0",
    "VAR_DIR": folder,
    "STATIC_ROOT": str(ROOT / "var" / "test" / "static" / PART),  # collected once, kept for the next run
    "SOCIALSONGS_DEVICE": "cpu",
}
