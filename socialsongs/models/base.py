"""What all tables of this app share."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models

from ..database import WriterManager, writer


class AppModel(models.Model):
    """A table of this app. Its rows are read from the writer (``socialsongs.database``), also by ``refresh_from_db``
    and through foreign keys; through a generic relation only where it was prefetched."""

    objects: ClassVar[WriterManager[Self]] = WriterManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, using: str | None = None, **kwargs: Any) -> None:
        """Save to the writer; Django's default can be the replica from which the row's owner was read."""
        super().save(*args, using=using or writer(), **kwargs)
