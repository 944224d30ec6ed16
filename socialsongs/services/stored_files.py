"""The files on the storage that belong to rows of this app: photos, thumbnails, previews. Not photos of the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.apps import apps
from django.core.files.storage import Storage
from django.db import models

from ..database import connection

BATCH = 1000


class FileColumn(NamedTuple):
    model: type[models.Model]
    field: models.FileField

    @property
    def name(self) -> str:
        return f"{self.model._meta.verbose_name} {self.field.verbose_name}"

    @property
    def rows(self) -> models.QuerySet[models.Model]:
        """The rows that have a file."""
        return self.model._default_manager.exclude(**{self.field.name: ""})


def file_columns() -> list[FileColumn]:
    """Return the columns of the tables that exist: before the first migration and after the last reverse there are
    none."""
    tables = set(connection().introspection.table_names())
    found = [model for model in apps.get_app_config("socialsongs").get_models() if model._meta.db_table in tables]
    return [
        FileColumn(model, field)
        for model in found
        for field in model._meta.concrete_fields
        if isinstance(field, models.FileField)
    ]


def count_files() -> dict[str, int]:
    """Return how many files there are, by their column's name, such as "song preview file"; only what there is."""
    counts = {column.name: column.rows.count() for column in file_columns()}
    return {name: count for name, count in sorted(counts.items()) if count}


def stored_files() -> Iterator[tuple[Storage, str]]:
    """Yield storage and name of every file, in batches: cursors of the server need a connection that is not pooled."""
    for column in file_columns():
        rows = column.rows.order_by("pk").values_list("pk", column.field.name)
        batch = list(rows[:BATCH])
        while batch:
            yield from ((column.field.storage, name) for _, name in batch)
            batch = list(rows.filter(pk__gt=batch[-1][0])[:BATCH])
