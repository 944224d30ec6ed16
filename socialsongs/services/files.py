"""Deletes stored files with their rows."""

from __future__ import annotations

from django.db.models.fields.files import FieldFile

from ..database import on_commit


def delete_file(*, file: FieldFile, using: str | None = None) -> None:
    """Delete a file after the commit, because a rollback restores the row but not the file."""
    storage, name = file.storage, str(file.name)
    on_commit(lambda: storage.delete(name), using=using, robust=True)
