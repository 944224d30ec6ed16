"""Who may see and manage which post: one object, used by the API, the pages, the files and the Python functions.

A host replaces it with a class of its own: ``SOCIALSONGS = {"POLICY": "photos.policy.Policy"}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.utils.module_loading import import_string

from .attached.registry import Attachment, attachment_of, attachments
from .conf import config
from .models import Post
from .selectors.external_users import share_a_circle
from .selectors.permissions import permitted

if TYPE_CHECKING:
    from .user_types import Visitor


class Policy:
    """The rules unless a host says otherwise. Staff have rights by Django's permissions, never by ``is_staff``."""

    def is_poster(self, *, user: Visitor, post: Post) -> bool:
        """Whether the post is the person's own: its owner, or who manages the attached photo (``attach``)."""
        if user.pk is None:
            return False
        if post.owner_id == user.pk:
            return True
        attachment, photo = attached_photo(post)
        return attachment is not None and attachment.is_manager(user=user, photo=photo)

    def may_view(self, *, user: Visitor, post: Post) -> bool:
        """Whether the person sees the post, its photos and the chosen song: public ones of their circle, and others of
        which they see the suggestions."""
        if self.may_view_suggestions(user=user, post=post):
            return True
        return is_public(post) and share_a_circle(user=user, other=post.owner_id)

    def may_view_suggestions(self, *, user: Visitor, post: Post) -> bool:
        """Whether the person also sees tags, requests and suggestions: posters, and people who may view all posts."""
        return self.is_poster(user=user, post=post) or permitted(user=user, permission="view_post")

    def may_manage(self, *, user: Visitor, post: Post) -> bool:
        """Whether the person may choose songs, send requests and feedback, retry and delete: posters."""
        return self.is_poster(user=user, post=post)

    def own(self, *, user: Visitor) -> Q:
        """The condition on posts for the person's list of their own posts."""
        return Q(owner=user.pk) & Q(owner__isnull=False)  # a visitor without a key has none


def policy() -> Policy:
    """Return the policy that the setting names. Raises ImproperlyConfigured when there is no such class."""
    return _load(config().POLICY)


@cache
def _load(path: str) -> Policy:
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"SOCIALSONGS['POLICY'] is {path!r}, which cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise ImproperlyConfigured(f"SOCIALSONGS['POLICY'] is {path!r}; name a subclass of socialsongs.policy.Policy.")
    return found()


def is_public(post: Post) -> bool:
    """Whether everybody may see the post. For an attached photo its row must say so now: it may have changed since."""
    return bool(public_among([post]))


def public_among(posts: Sequence[Post]) -> list[Post]:
    """Return the posts that everybody may see, with one query at most for each attached model."""
    marked = [post for post in posts if post.visibility == Post.Visibility.PUBLIC]
    rows = {post.pk: attached_photo(post) for post in marked if post.subject is not None}
    shown: set[UUID] = set()
    for attachment in attachments():
        photos = {post: photo for post, (found, photo) in rows.items() if photo and found is attachment}
        public = attachment.public_keys(list(photos.values()))
        shown |= {post for post, photo in photos.items() if photo.pk in public}
    return [post for post in marked if post.subject is None or post.pk in shown]


def attached_photo(post: Post) -> tuple[Attachment, Any] | tuple[None, None]:
    """Return the attachment and the row of a post's attached photo; None twice when either is gone or was never."""
    photo = None if post.subject is None else post.subject.photo
    attachment = None if photo is None else attachment_of(photo)
    return (None, None) if attachment is None else (attachment, photo)
