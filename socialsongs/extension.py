"""The extension pgvector: what a database has of it, and the statement that adds what is missing."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.postgres.operations import CreateExtension
from django.core.management import CommandError
from django.db import ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

LEAST = (0, 8)  # the first version with iterative index scans

FIND = """
SELECT
    (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'),
    extversion,
    quote_ident(nspname),
    nspname = ANY(current_schemas(true)),
    rolsuper OR has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'vector' AND trusted),
    format('CREATE EXTENSION vector SCHEMA %I;', coalesce(current_schema(), 'public')),
    quote_ident(current_database()),
    quote_ident(current_user)
FROM pg_roles
LEFT JOIN pg_extension ON extname = 'vector'
LEFT JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE rolname = current_user
"""


class Extension(NamedTuple):
    """``visible``: its schema is in the search path of this role. ``may_create``: this role may create the extension.
    ``statement`` creates it where this role looks for it. Names are quoted for SQL."""

    available: str | None
    installed: str | None
    schema: str | None
    visible: bool | None
    may_create: bool
    statement: str
    database: str
    role: str


def find_extension(connection: BaseDatabaseWrapper) -> Extension:
    with connection.cursor() as cursor:
        cursor.execute(FIND)
        return Extension(*cursor.fetchone())


def is_recent(version: str) -> bool:
    return tuple(map(int, version.split(".")[:2])) >= LEAST


class VectorExtension(CreateExtension):
    """Creates pgvector where it is missing. The reverse keeps it, since others may use it."""

    def __init__(self) -> None:
        self.name = "vector"

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Raise CommandError, with the statement for a superuser, when this role may not create the extension."""
        connection = schema_editor.connection
        try:
            with transaction.atomic(using=connection.alias):
                super().database_forwards(app_label, schema_editor, from_state, to_state)
        except ProgrammingError as error:
            found = find_extension(connection)
            raise CommandError(
                f"The role {found.role} may not create the extension pgvector. Let a superuser execute this in the "
                f"database {found.database}, then migrate again: {found.statement}"
            ) from error

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        pass
