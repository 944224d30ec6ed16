"""Deletes posts, and requests without a post, that are older than the retention time."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Now

from ..models import Post, RecommendationRequest
from .posts import delete_posts
from .recommendation_requests import delete_requests

BATCH = 200


def old_posts(*, older_than: timedelta) -> QuerySet[Post]:
    """Return old posts, without those of attached photos, which are deleted with the photos."""
    return Post.objects.filter(subject=None, created_at__lt=Now() - older_than)


def old_texts(*, older_than: timedelta) -> QuerySet[RecommendationRequest]:
    """Return requests by a text alone."""
    return RecommendationRequest.objects.filter(post=None, created_at__lt=Now() - older_than)


class Forgotten(NamedTuple):
    posts: int
    photos: int
    texts: int


def forget(*, older_than: timedelta) -> Forgotten:
    """Delete old posts and texts in batches, each in its own transaction, so that an interruption loses no progress."""
    posts = photos = texts = 0
    while batch := list(old_posts(older_than=older_than).order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        deleted = delete_posts(posts=Post.objects.filter(pk__in=batch))
        posts, photos = posts + deleted.posts, photos + deleted.photos
    while batch := list(old_texts(older_than=older_than).order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        texts += delete_requests(requests=RecommendationRequest.objects.filter(pk__in=batch))
    return Forgotten(posts, photos, texts)
