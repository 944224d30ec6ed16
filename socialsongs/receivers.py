"""Cleans up after every deletion, by the API, the admin, a queryset or the deletion of an account."""

from __future__ import annotations

from typing import Any, TextIO

from django.apps import apps
from django.db.migrations import Migration
from django.db.models.signals import post_delete, pre_delete, pre_migrate
from django.dispatch import receiver

from .database import writer
from .models import Feedback, PhotoSubject, Post, PostPhoto, RecommendationRequest, Song, Thumbnail
from .services import events
from .services.files import delete_file
from .services.stored_files import count_files, file_columns


@receiver(post_delete, sender=PostPhoto)
def delete_photo(instance: PostPhoto, using: str, **_: Any) -> None:
    """Delete the stored photo of a deleted row; the file of an attached photo is the host's."""
    if instance.image:
        delete_file(file=instance.image, using=using)


@receiver(post_delete, sender=Post)
def delete_subject(instance: Post, using: str, **_: Any) -> None:
    """Delete the subject, with its analyses, of an attached photo's post; other subjects go with their photos."""
    if instance.subject_id is not None:
        PhotoSubject.objects.using(using).filter(pk=instance.subject_id).delete()


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


@receiver(pre_migrate, sender=apps.get_app_config("socialsongs"))
def say_what_stays(using: str, plan: list[tuple[Migration, bool]], verbosity: int, stdout: TextIO, **_: Any) -> None:
    """Before the tables are dropped, say which files stay on the storage: nobody will know their names."""
    drops = any(backwards and (one.app_label, one.name) == ("socialsongs", "0001_initial") for one, backwards in plan)
    if not drops or using != writer() or not verbosity or not (counts := count_files()):
        return
    folders = ", ".join(sorted({str(column.field.upload_to) for column in file_columns()}))
    listed = "; ".join(f"{name}: {count}" for name, count in counts.items())
    stdout.write(
        f"Files stay on the storage ({listed}), in {folders}. `manage.py socialsongs_delete_files` deletes them, but "
        "only before their tables are gone.\n"
    )
