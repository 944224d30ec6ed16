"""Posts, and texts that songs were asked for by, that have become too old to be kept."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from ..models import Post, RecommendationRequest
from .posts import Deleted, delete_posts

BATCH = 200


def old_posts(*, older_than: timedelta) -> QuerySet[Post]:
    return Post.objects.filter(created_at__lt=Now() - older_than)


def forget_posts(*, older_than: timedelta) -> Deleted:
    """Delete them a batch at a time, each in a transaction of its own: what is done stays done. Requests that belong to
    no post go, too."""
    posts = photos = 0
    while batch := list(old_posts(older_than=older_than).order_by("created_at").values_list("pk", flat=True)[:BATCH]):
        deleted = delete_posts(posts=Post.objects.filter(pk__in=batch))
        posts, photos = posts + deleted.posts, photos + deleted.photos
    RecommendationRequest.objects.filter(post=None, created_at__lt=Now() - older_than).delete()
    return Deleted(posts, photos)
