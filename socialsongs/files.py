"""A stored photo goes with its row: by the API, in the admin, or with its owner's account."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from .models import PostPhoto


@receiver(post_delete, sender=PostPhoto)
def delete_file(instance: PostPhoto, using: str, **_: Any) -> None:
    """After the commit: a rollback brings the row back, never the file."""
    storage, name = instance.image.storage, str(instance.image.name)
    transaction.on_commit(lambda: storage.delete(name), using=using, robust=True)
