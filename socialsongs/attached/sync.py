"""Keeps the posts of attached photos in line with the host's rows, whichever way these were written."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from .. import dispatch
from ..database import atomic, on_commit
from ..models import PhotoAnalysis, PhotoSubject, Post, PostPhoto, RecommendationRequest, State, Thumbnail
from ..services.posts import delete_posts
from ..services.queue import QUEUED_AGAIN
from .registry import Attachment, PhotoValues, attachment_of

logger = logging.getLogger(__name__)

SLICE = 1000  # rows of one model that a turn of the reconciler compares
NEWEST = 200  # rows with the highest keys, which every turn compares: keys that count up find new rows at once
MOST_WAITING = 1000  # posts of the bulk lane that wait; the reconciler adds no more


def subjects_of(attachment: Attachment) -> QuerySet[PhotoSubject]:
    """Return the subjects of all photos of an attached model."""
    of_model = ContentType.objects.get_for_model(attachment.model)
    return PhotoSubject.objects.filter(content_type=of_model, field=attachment.image)


def sync_photos(attachment: Attachment, photos: Sequence[Any], *, bulk: bool = False, add: bool = True) -> int:
    """Bring the posts of these rows in line with them; return how many posts were queued.

    ``bulk``: queue in the bulk lane. ``add``: also add posts for rows that have none.
    """
    counting = attachment.counting(photos)
    of_these = subjects_of(attachment).filter(object_id__in=[str(photo.pk) for photo in photos])
    known = {subject.object_id: subject for subject in of_these.select_related("post")}
    queued = 0
    for photo in photos:
        subject = known.get(str(photo.pk))
        post: Post | None = getattr(subject, "post", None)
        if photo.pk not in counting:
            if post is not None and post.visibility != Post.Visibility.PRIVATE:
                _hide(attachment, post, photo.pk)
        elif post is not None:
            queued += _differs(post, attachment.values(photo)) and _update_post(attachment, post, photo.pk, bulk=bulk)
        elif add:
            queued += _add_post(attachment, photo, bulk=bulk)
    return queued


def _add_post(attachment: Attachment, photo: Any, *, bulk: bool) -> bool:
    """Add a post with its default request, or bring the one that another process added in line; return whether it was
    queued."""
    with atomic():
        photo = _now(attachment, photo.pk)
        if photo is None:
            return False
        values = attachment.values(photo)
        subject, _ = PhotoSubject.objects.get_or_create(
            content_type=ContentType.objects.get_for_model(attachment.model),
            object_id=str(photo.pk),
            field=attachment.image,
            defaults={"file_name": values.file_name},
        )
        of_photo = {"owner_id": values.owner, "visibility": values.visibility, "caption": values.caption, "bulk": bulk}
        post, added = Post.objects.get_or_create(subject=subject, defaults=of_photo)
        if added:
            PostPhoto.objects.create(post=post)
            RecommendationRequest.objects.create(post=post, is_default=True)
            _announce(bulk=bulk)
    return added or _update_post(attachment, post, photo.pk, bulk=bulk)


def _now(attachment: Attachment, key: Any) -> Any:
    """Return the row as it is now, if it is there and counts: what was read before may have changed since."""
    photo = attachment.rows().filter(pk=key).first()
    return photo if photo is not None and photo.pk in attachment.counting([photo]) else None


def _differs(post: Post, values: PhotoValues) -> bool:
    assert post.subject is not None
    return values != PhotoValues(post.subject.file_name, post.owner_id, post.visibility, post.caption)


def _update_post(attachment: Attachment, post: Post, key: Any, *, bulk: bool) -> bool:
    """Write what changed, and queue the post again for another file; return whether it was queued.

    The row is read under the lock, so that of two writers the later one has the newer row.
    """
    with atomic():
        locked = Post.objects.select_for_update(of=("self",)).select_related("subject").filter(pk=post.pk).first()
        photo = None if locked is None else _now(attachment, key)
        if locked is None or locked.subject is None or photo is None:
            return False
        post, values = locked, attachment.values(photo)
        if not _differs(post, values):
            return False
        other_file = locked.subject.file_name != values.file_name
        of_photo: dict[str, Any] = {"owner": values.owner, "visibility": values.visibility, "caption": values.caption}
        ours = Post.objects.filter(pk=post.pk)
        ours.update(**of_photo | (QUEUED_AGAIN | {"bulk": bulk} if other_file else {}))
        if other_file:
            RecommendationRequest.objects.filter(post=post).update(**QUEUED_AGAIN)
            PhotoAnalysis.objects.filter(subject=post.subject).delete()
            Thumbnail.objects.filter(photo__post=post).delete()
            PhotoSubject.objects.filter(pk=locked.subject.pk).update(file_name=values.file_name)
            _announce(bulk=bulk)
    return other_file


def _hide(attachment: Attachment, post: Post, key: Any) -> None:
    if _now(attachment, key) is None:
        Post.objects.filter(pk=post.pk).update(visibility=Post.Visibility.PRIVATE)


def _announce(*, bulk: bool) -> None:
    if bulk:
        dispatch.announce_songs()
    else:
        dispatch.announce_photos()


def sync_photo(attachment: Attachment, key: Any) -> None:
    """Bring the post of one row in line; a row that is gone loses its post."""
    photo = attachment.rows().filter(pk=key).first()
    if photo is None:
        remove_posts(attachment, [str(key)])
    else:
        sync_photos(attachment, [photo])


def remove_posts(attachment: Attachment, keys: Iterable[str]) -> int:
    """Delete the posts of deleted rows, by their keys as texts; return how many."""
    return delete_posts(posts=Post.objects.filter(subject__in=subjects_of(attachment).filter(object_id__in=keys))).posts


def follow_row(photo: Any, using: str) -> None:
    """After the commit, bring the post of a saved or deleted row in line. Errors are logged: the host's write stands.

    The reconciler repeats what is lost when the process ends before.
    """
    if attachment := attachment_of(photo):
        key = photo.pk  # now: a deleted row loses its key
        on_commit(lambda: sync_photo(attachment, key), using=using, robust=True)


def sync_rows(attachment: Attachment, *, after: Any) -> Any:
    """Sync the newest rows, and the next SLICE rows by key; return the last key, or None to start over."""
    add = attachment.catch_up and waiting_in_bulk() < MOST_WAITING
    rows = attachment.rows()
    newest = list(rows.order_by("-pk")[:NEWEST])
    ordered = rows.order_by("pk")
    slice_ = list((ordered if after is None else ordered.filter(pk__gt=after))[:SLICE])
    for photos in (newest, slice_):
        sync_each(attachment, photos, add=add)
    return slice_[-1].pk if len(slice_) == SLICE else None


def sync_each(attachment: Attachment, photos: Sequence[Any], *, add: bool = True) -> int:
    """Sync rows in the bulk lane; a row for which the host's functions fail is logged and left out."""
    try:
        return sync_photos(attachment, photos, bulk=True, add=add)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(photos) == 1:
            logger.exception("%s %s could not be followed", attachment.label, photos[0].pk)
            return 0
    middle = len(photos) // 2
    return sync_each(attachment, photos[:middle], add=add) + sync_each(attachment, photos[middle:], add=add)


def sweep_orphans(attachment: Attachment, *, after: UUID | None) -> UUID | None:
    """Delete the posts of rows that are gone, among the next SLICE subjects; return the last, or None to start over."""
    ordered = subjects_of(attachment).order_by("pk")
    subjects = list((ordered if after is None else ordered.filter(pk__gt=after))[:SLICE])
    there = _rows_with(attachment, [subject.object_id for subject in subjects])
    gone = [subject.object_id for subject in subjects if subject.object_id not in there]
    if gone and remove_posts(attachment, gone):
        logger.info("%d posts of deleted rows of %s are deleted", len(gone), attachment.label)
    return subjects[-1].pk if len(subjects) == SLICE else None


def _rows_with(attachment: Attachment, keys: Sequence[str]) -> set[str]:
    """Return those of the keys, as texts, that the model has rows for."""
    key_field = attachment.model._meta.pk
    known = []
    for key in keys:
        try:
            known.append(key_field.to_python(key))
        except ValidationError:  # from before the model's keys had another type
            continue
    return {str(key) for key in attachment.rows().filter(pk__in=known).values_list("pk", flat=True)}


def waiting_in_bulk() -> int:
    """Return how many posts of the bulk lane wait."""
    return Post.objects.filter(bulk=True, state__in=[State.QUEUED, State.ANALYSING]).count()
