"""What follows a deletion, whoever deletes: the API, the admin, a queryset, or somebody's account that goes."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver

from .models import Feedback, PostPhoto, RecommendationRequest


@receiver(post_delete, sender=PostPhoto)
def delete_file(instance: PostPhoto, using: str, **_: Any) -> None:
    """A stored photo goes with its row, after the commit: a rollback brings the row back, never the file."""
    storage, name = instance.image.storage, str(instance.image.name)
    transaction.on_commit(lambda: storage.delete(name), using=using, robust=True)


@receiver(pre_delete, sender=RecommendationRequest)
def anonymise_feedback(instance: RecommendationRequest, using: str, **_: Any) -> None:
    """Feedback outlives its request, but as nobody's."""
    Feedback.objects.using(using).filter(request=instance).update(user=None)
