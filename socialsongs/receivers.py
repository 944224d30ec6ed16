"""Cleans up after every deletion: by the API, the admin, a queryset, or the deletion of an account."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver

from .models import Feedback, Post, PostPhoto, RecommendationRequest, Song, Thumbnail
from .services import events
from .services.files import delete_file


@receiver(post_delete, sender=PostPhoto)
def delete_photo(instance: PostPhoto, using: str, **_: Any) -> None:
    """Delete the stored photo of a deleted row."""
    delete_file(file=instance.image, using=using)


@receiver(post_delete, sender=Thumbnail)
def delete_thumbnail(instance: Thumbnail, using: str, **_: Any) -> None:
    """Delete the stored thumbnail of a deleted row; the row is deleted with its photo."""
    delete_file(file=instance.image, using=using)


@receiver(post_delete, sender=Song)
def delete_preview(instance: Song, using: str, **_: Any) -> None:
    """Delete the stored clip of a deleted song."""
    if instance.preview_file:
        delete_file(file=instance.preview_file, using=using)


@receiver(pre_delete, sender=Song)
def record_unchosen(instance: Song, using: str, **_: Any) -> None:
    """Record that posts lose their song, which is deleted; Django has opened a transaction."""
    events.song_unchosen(posts=Post.objects.using(using).filter(chosen_song=instance), song=instance.pk)


@receiver(pre_delete, sender=RecommendationRequest)
def anonymise_feedback(instance: RecommendationRequest, using: str, **_: Any) -> None:
    """Keep the feedback of a deleted request, but remove the person from it."""
    Feedback.objects.using(using).filter(request=instance).update(user=None)
