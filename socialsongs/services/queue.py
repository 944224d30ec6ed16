"""Queues work again: failed rows, songs to encode again, and answers of a release that no longer serves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from .. import dispatch
from ..database import atomic
from ..models import Post, RecommendationRequest, SongEmbedding, State
from ..selectors.releases import serving_releases

# The row as if it had never been attempted.
QUEUED_AGAIN: dict[str, Any] = {
    "state": State.QUEUED,
    "reason": "",
    "attempts": 0,
    "queued_at": Now(),
    "delayed_since": None,
    "finished_at": None,
    "lease_token": None,
    "lease_expires_at": None,
}


def requeue_posts(*, posts: QuerySet[Post]) -> int:
    """Queue failed posts again, with their default requests and their other failed requests.

    Returns how many posts.
    """
    with atomic():
        failed = list(posts.filter(state=State.FAILED).select_for_update(of=("self",)).values_list("pk", flat=True))
        waiting = Q(is_default=True) | Q(state=State.FAILED)
        RecommendationRequest.objects.filter(waiting, post__in=failed).update(**QUEUED_AGAIN)
        Post.objects.filter(pk__in=failed).update(**QUEUED_AGAIN)
        if failed:
            dispatch.announce_photos()
    return len(failed)


def requeue_requests(*, requests: QuerySet[RecommendationRequest]) -> int:
    """Queue failed requests again, except those of failed posts; return how many."""
    with atomic():
        failed = requests.filter(state=State.FAILED).exclude(post__state=State.FAILED)
        count = RecommendationRequest.objects.filter(pk__in=failed.values("pk")).update(**QUEUED_AGAIN)
        if count:
            dispatch.announce_photos()
            dispatch.announce_songs()  # the bulk lane's requests
    return count


def queue_songs(*, rows: QuerySet[SongEmbedding]) -> int:
    """Queue songs to be encoded again; until then searches find them as before. Return how many rows."""
    with atomic():
        count = rows.update(**QUEUED_AGAIN)
        if count:
            dispatch.announce_songs()
    return count


def rerank(*, since: datetime | None = None, until: datetime | None = None) -> int:
    """Queue again, in the bulk lane, the default requests that a release answered which no longer serves.

    ``since``, ``until``: when their posts were created. The old suggestions are shown until the new ones are written;
    choices and feedback stay. Returns how many requests.
    """
    old = RecommendationRequest.objects.filter(is_default=True, state=State.READY, post__state=State.READY)
    old = old.exclude(release__in=serving_releases())
    if since:
        old = old.filter(post__created_at__gte=since)
    if until:
        old = old.filter(post__created_at__lt=until)
    with atomic():
        count = RecommendationRequest.objects.filter(pk__in=old.values("pk")).update(**QUEUED_AGAIN | {"bulk": True})
        if count:
            dispatch.announce_songs()
    return count
