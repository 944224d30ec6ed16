"""PostgreSQL and Redis of a bench's own, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the checkout need not be installed

from socialsongs.site.embedded import locations, running  # noqa: E402


def bench_folder() -> Path:
    """Where everything of one run lies; short, since it holds sockets."""
    return Path(f"{tempfile.gettempdir()}/socialsongs-bench-{os.getpid()}")


def environment(folder: Path) -> dict[str, str]:
    """What Django's settings read, before they are loaded."""
    return {
        "DATABASE_URL": locations(folder).database_url,
        "REDIS_URL": locations(folder).redis_url,
        "VAR_DIR": str(folder),
        "SECRET_KEY": "only-for-the-benchmark-0123456789-abcdefghijklmnopqrstuvwxyz",
        "SECURE_SSL": "0",
        "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings",
        "LOG_LEVEL": "WARNING",
        "SOCIALSONGS_MAX_WAITING_PHOTOS": "1000000",  # all are one person's
    }


@contextmanager
def own_servers(folder: Path, postgres: Mapping[str, str] | None = None) -> Iterator[None]:
    """Running while the bench does; nothing is left of them."""
    folder.mkdir(mode=0o711)  # PostgreSQL may run as another user
    try:
        with running(folder, postgres):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
