"""Settings of a site whose own apps keep ``default``, while this one has a second database with a replica."""

from __future__ import annotations

from typing import Any

from socialsongs.site.settings import *  # noqa: F403
from socialsongs.site.settings import DATABASES, VAR_DIR

MUSIC = {**DATABASES["default"], "ATOMIC_REQUESTS": True}
DATABASES["default"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "host.sqlite3")}
DATABASES["music"] = MUSIC
# Nothing listens there: what reads from it fails.
DATABASES["replica"] = {**MUSIC, "HOST": "127.0.0.1", "PORT": "1"}
DATABASE_ROUTERS = ["tests.layouts.Router"]


class Router:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica" if model._meta.app_label == "socialsongs" else "music"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "music"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "music"
