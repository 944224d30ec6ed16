"""System checks of the settings, of the tasks' time limits, of PostgreSQL with pgvector, and of the packages' names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.models import Model
from django.utils.module_loading import import_string

from .attached.registry import attachments
from .conf import config
from .database import writer
from .extension import Extension, find_extension, is_recent


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


@register()
def external_user_function(**_: Any) -> list[CheckMessage]:
    try:
        path = config().EXTERNAL_USER
        import_string(path)
    except ImproperlyConfigured:
        return []  # E001
    except ImportError as error:
        return [
            Error(
                f"SOCIALSONGS['EXTERNAL_USER'] is {path!r}, which cannot be imported: {error}.",
                hint="Name the function that gives a person of an API client an account; see docs/api.md.",
                id="socialsongs.E008",
            )
        ]
    return []


@register(Tags.database)
def vector_extension(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check the database of this app only: the host's others need not be PostgreSQL."""
    alias = writer()
    if alias not in (databases or ()):
        return []
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return [Error(f"Database {alias!r} is {connection.vendor}; PostgreSQL is needed.", id="socialsongs.E003")]
    found = find_extension(connection)
    if found.available is None or not is_recent(found.available):
        return [
            Error(
                f"Database {alias!r} has no pgvector 0.8 or newer (found: {found.available or 'none'}).",
                hint="Install the extension on the database server: the iterative index scans of 0.8 are needed.",
                id="socialsongs.E004",
            )
        ]
    if found.installed is None:
        return [] if found.may_create else [_may_not_create(alias, found)]
    if not is_recent(found.installed):
        return [
            Error(
                f"Database {alias!r} uses pgvector {found.installed}; 0.8 or newer is needed.",
                hint="The server has a newer one. Execute as its owner: ALTER EXTENSION vector UPDATE;",
                id="socialsongs.E004",
            )
        ]
    return [] if found.visible else [_not_visible(alias, found)]


def _may_not_create(alias: str, found: Extension) -> CheckMessage:
    return Warning(
        f"The extension pgvector is missing in database {alias!r}, and the role {found.role} may not create it.",
        hint=f"Before `migrate`, let a superuser execute in the database {found.database}: {found.statement}",
        id="socialsongs.W041",
    )


def _not_visible(alias: str, found: Extension) -> CheckMessage:
    return Error(
        f"pgvector is in the schema {found.schema} of database {alias!r}, where the role {found.role} does not look.",
        hint=f"Let a superuser execute: GRANT USAGE ON SCHEMA {found.schema} TO {found.role}; "
        f"ALTER ROLE {found.role} IN DATABASE {found.database} SET search_path = public, {found.schema};",
        id="socialsongs.E040",
    )


@register()
def one_database(**_: Any) -> list[CheckMessage]:
    """Posts lead to people, content types and attached photos, so these must be in the database of this app."""
    alias = writer()
    models: list[type[Model]] = [get_user_model(), ContentType, *(attachment.model for attachment in attachments())]
    return [
        Error(
            f"The router sends socialsongs to the database {alias!r}, but {model._meta.label} to {other!r}.",
            hint=f"Posts cannot lead to rows of another database: send {model._meta.app_label!r} to {alias!r}, too.",
            id="socialsongs.E042",
        )
        for model in models
        if (other := router.db_for_write(model)) != alias
    ]


@register()
def packages_of_that_name(**_: Any) -> list[CheckMessage]:
    """A package or module of the project that is called ``workers`` or ``recommender`` hides the one of SocialSongs."""
    ours = Path(__file__).resolve().parents[1]
    messages: list[CheckMessage] = []
    for name in ("workers", "recommender"):
        spec = find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations or filter(None, [spec.origin]))
        if ours / name in [Path(place).resolve() for place in places]:
            continue
        if places:
            problem = f"`import {name}` finds {places[0]}, not the package that SocialSongs installs ({ours / name})."
            hint = (
                f"Rename yours, or move it into a package of your project: SocialSongs needs the name {name!r}. Until "
                "then commands such as `socialsongs_releases` are unknown or fail, and no worker can start."
            )
        else:
            problem = f"The package {name!r}, which SocialSongs installs, is missing ({ours / name})."
            hint = "Install SocialSongs again."
        messages.append(Error(problem, hint=hint, id="socialsongs.E030"))
    if not messages and not apps.is_installed("workers"):
        messages.append(
            Warning(
                "'workers' is not in INSTALLED_APPS.",
                hint="Add it: it brings commands such as `socialsongs_releases`, and needs no PyTorch.",
                id="socialsongs.W031",
            )
        )
    return messages
