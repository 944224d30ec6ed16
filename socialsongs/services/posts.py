"""Creates, retries and deletes posts."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import dispatch
from ..conf import config
from ..database import atomic, connection, writer
from ..errors import AttachedPost, NoPhoto, NotRetryable, TooManyPhotos, TooManyWaiting, UnknownPost, UnknownUser
from ..intake import CleanPhoto, IntakeError, clean_photo
from ..models import PhotoSubject, Post, PostPhoto, RecommendationRequest, State
from .idempotency import Once, once
from .queue import requeue_posts
from .waiting import wait_while

if TYPE_CHECKING:
    from ..user_types import Person


def create_post(
    *,
    owner: Person,
    uploads: Sequence[UploadedFile[Any]],
    caption: str = "",
    visibility: str = Post.Visibility.PRIVATE,
    idempotency_key: str = "",
    wait: float = 0.0,
) -> tuple[Post, bool]:
    """Store photos as a post and queue it, with the default recommendation request.

    Returns the post and whether it is new: the same key with the same body returns the first post, which it may
    ``wait`` for some seconds.
    Raises IntakeError, NoPhoto, TooManyPhotos, TooManyWaiting, DecodersUnavailable, IdempotencyConflict or
    StillRunning; then nothing is stored.
    """
    limit = config().MAX_PHOTOS_PER_POST
    if not uploads:
        raise NoPhoto(_("There is no photo in the request. Send at least one file in the field “photos”."))
    if len(uploads) > limit:
        raise TooManyPhotos(
            _("There are %(photos)s photos; a post holds at most %(most)s.") % {"photos": len(uploads), "most": limit}
        )
    fingerprint = body_digest(uploads=uploads, caption=caption, visibility=visibility) if idempotency_key else ""
    with once(user=owner, key=idempotency_key, fingerprint=fingerprint, wait=wait) as attempt:
        if attempt.earlier is not None and attempt.earlier.post is not None:
            return attempt.earlier.post, False
        _check_waiting(owner=owner, more=len(uploads))
        photos = _clean_photos(uploads)
        post = Post(owner=owner, caption=caption, visibility=visibility)
        with atomic():
            lock_uploads(owner=owner)
            _check_waiting(owner=owner, more=len(photos))
            _store(post=post, photos=photos, attempt=attempt)
            dispatch.announce_photos()
    return post, True


def _clean_photos(uploads: Sequence[UploadedFile[Any]]) -> list[CleanPhoto]:
    """Return all photos, checked and re-encoded. Raises the IntakeError of the first bad one, with its position."""
    photos = []
    for place, upload in enumerate(uploads, 1):
        try:
            photos.append(clean_photo(upload))
        except IntakeError as error:
            error.locate(place=place, name=upload.name or "", among=len(uploads))
            raise
    return photos


def _check_waiting(*, owner: Person, more: int) -> None:
    limit = config().MAX_WAITING_PHOTOS
    waiting = PostPhoto.objects.filter(
        post__owner=owner, post__subject=None, post__state__in=(State.QUEUED, State.ANALYSING)
    ).count()
    if waiting + more > limit:
        raise TooManyWaiting(
            ngettext(
                "%(waiting)d of your photos is still being analysed; at most %(most)d can wait at a time. Post again "
                "when it is ready.",
                "%(waiting)d of your photos are still being analysed; at most %(most)d can wait at a time. Post again "
                "when some of them are ready.",
                waiting,
            )
            % {"waiting": waiting, "most": limit}
        )


def lock_uploads(*, owner: Person) -> None:
    """Until the commit, let only one upload of this person count the waiting photos, and let nobody delete all that the
    site has of them. Raises UnknownUser when their account was deleted while the photos were checked."""
    with connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('socialsongs-waiting'), hashtext(%s))", [str(owner.pk)])
    if not get_user_model()._default_manager.using(writer()).filter(pk=owner.pk).exists():
        raise UnknownUser(_("This account was deleted."))


def _store(*, post: Post, photos: Sequence[CleanPhoto], attempt: Once) -> None:
    """Store rows and files. An error deletes the files; a failed commit does not, since it may have succeeded."""
    stored: list[PostPhoto] = []
    try:
        post.save(force_insert=True)
        for position, photo in enumerate(photos):
            stored.append(_store_photo(post=post, position=position, photo=photo))
        RecommendationRequest.objects.create(post=post, is_default=True)
        attempt.finish(post=post)
    except BaseException:
        for photo_row in stored:  # the rollback does not remove files
            photo_row.image.storage.delete(str(photo_row.image.name))
        raise


def body_digest(*, uploads: Sequence[UploadedFile[Any]], caption: str, visibility: str) -> str:
    """Return a SHA-256 of the request's body, to compare requests with the same idempotency key."""
    digest = hashlib.sha256()
    for text in (caption, visibility):
        digest.update(text.encode() + b"\0")
    for upload in uploads:
        upload.seek(0)
        part = hashlib.sha256()
        for chunk in upload.chunks():
            part.update(chunk)
        digest.update(part.digest())
    return digest.hexdigest()


def _store_photo(*, post: Post, position: int, photo: CleanPhoto) -> PostPhoto:
    row = PostPhoto(post=post, position=position, width=photo.width, height=photo.height)
    # A random name that cannot be guessed; nothing of the client's file name is kept.
    row.image.save(f"{uuid.uuid4().hex}.jpg", ContentFile(photo.jpeg), save=False)
    try:
        row.save(force_insert=True)
    except BaseException:
        row.image.storage.delete(str(row.image.name))
        raise
    PhotoSubject.objects.create(photo=row, field="image")
    return row


def lock_post(*, post: Post) -> Post:
    """Lock a post until the commit, so that nobody deletes it meanwhile. Raises UnknownPost when it is deleted."""
    locked = Post.objects.select_for_update(no_key=True).filter(pk=post.pk).first()
    if locked is None:
        raise UnknownPost(_("This post was deleted."))
    return locked


def retry_post(*, post: Post) -> None:
    """Queue a failed post again. Raises NotRetryable for any other state."""
    if not requeue_posts(posts=Post.objects.filter(pk=post.pk)):
        raise NotRetryable(_("Only a post that failed can be tried again."))
    post.refresh_from_db()


def wait_for_analysis(*, post: Post, user: Person, seconds: float) -> bool:
    """Wait until the post is ready or failed or the time is up; False when it was not waited (``wait_while``)."""
    unfinished = Post.objects.filter(pk=post.pk, state__in=(State.QUEUED, State.ANALYSING))
    return wait_while(unfinished=unfinished, user=user, seconds=seconds)


class Deleted(NamedTuple):
    posts: int
    photos: int


def delete_post(*, post: Post) -> None:
    """Delete one post, as ``delete_posts`` does. Raises AttachedPost for one that follows a photo of the host."""
    if post.subject_id is not None:
        raise AttachedPost(_("This post belongs to a photo of the site. It is deleted with the photo."))
    delete_posts(posts=Post.objects.filter(pk=post.pk))


def delete_posts(*, posts: QuerySet[Post]) -> Deleted:
    """Delete posts with their photos, analyses, requests and suggestions.

    Receivers delete the files, and keep the feedback without its person (``socialsongs.receivers``).
    """
    with atomic():
        # Locks in the same order as workers, and waits for one that is writing suggestions.
        locked = list(posts.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        list(RecommendationRequest.objects.filter(post__in=locked).select_for_update(of=("self",)).order_by("pk"))
        _, removed = Post.objects.filter(pk__in=locked).delete()
    return Deleted(removed.get(Post._meta.label, 0), removed.get(PostPhoto._meta.label, 0))
