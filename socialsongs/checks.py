"""System checks of the settings, of the tasks' time limits, and of PostgreSQL with pgvector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from .conf import config
from .database import writer


@register()
def settings_dict(**_: Any) -> list[CheckMessage]:
    try:
        limits = config()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="socialsongs.E001")]
    if limits.TASK_BUDGET_SECONDS * 2 >= limits.VISIBILITY_TIMEOUT_SECONDS:
        return [
            Error(
                "SOCIALSONGS['TASK_BUDGET_SECONDS'] must be less than half of 'VISIBILITY_TIMEOUT_SECONDS'.",
                hint="When a task outlasts the visibility timeout, the broker gives it to a second worker as well.",
                id="socialsongs.E002",
            )
        ]
    return []


@register(Tags.database)
def vector_extension(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    for alias in {writer()} & set(databases or ()):
        connection = connections[alias]
        if connection.vendor != "postgresql":
            errors.append(
                Error(f"Database {alias!r} is {connection.vendor}; PostgreSQL is needed.", id="socialsongs.E003")
            )
            continue
        with connection.cursor() as cursor:
            cursor.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
            found = cursor.fetchone()
        if found is None or tuple(map(int, found[0].split(".")[:2])) < (0, 8):
            errors.append(
                Error(
                    f"Database {alias!r} has no pgvector 0.8 or newer (found: {found[0] if found else 'none'}).",
                    hint="Install the extension on the database server: the iterative index scans of 0.8 are needed.",
                    id="socialsongs.E004",
                )
            )
    return errors
