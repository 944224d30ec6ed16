"""Requests more suggestions for a post: other songs, or songs steered by a text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db import transaction

from .. import dispatch
from ..errors import PostFailed
from ..models import Post, RecommendationRequest, State
from ..outages import ask_cache
from ..selectors.posts import default_parameters
from ..selectors.workers import ready_workers
from .posts import lock_post

if TYPE_CHECKING:
    from ..user_types import Person

POLL_SECONDS = 0.04


def request_recommendations(
    *, post: Post, text: str = "", parameters: Mapping[str, Any] | None = None
) -> RecommendationRequest:
    """Queue a request for a post; a worker answers it when the photos have been analysed.

    ``parameters``: values that replace those of ``default_parameters``; None keeps the default. Raises PostFailed
    or UnknownPost.
    """
    defaults = default_parameters()
    changed = {name: value for name, value in (parameters or {}).items() if value not in (None, defaults[name])}
    with transaction.atomic():
        if lock_post(post=post).state == State.FAILED:
            raise PostFailed("This post failed, so no songs can be suggested for it. Retry the post first.")
        request = RecommendationRequest.objects.create(post=post, text=text, parameters=changed)
        dispatch.announce_photos()
    return request


def wait_for_answer(*, request: RecommendationRequest, user: Person, seconds: float) -> None:
    """Wait until the request is answered or the time is up, by short queries outside a transaction.

    Each waiting call holds a thread of the web server. So it returns at once when no worker is ready, or when this
    person waits already.
    """
    waiting = f"socialsongs-waiting-{user.pk}"
    if not seconds or not ready_workers().exists():
        return
    if not ask_cache(lambda: cache.add(waiting, 1, timeout=ceil(seconds)), otherwise=False):
        return
    deadline = time.monotonic() + seconds
    unanswered = RecommendationRequest.objects.filter(pk=request.pk, state__in=[State.QUEUED, State.ANALYSING])
    unanswered = unanswered.exclude(post__state=State.FAILED)
    try:
        while (left := deadline - time.monotonic()) > 0 and unanswered.exists():
            time.sleep(min(left, POLL_SECONDS))
    finally:
        ask_cache(lambda: cache.delete(waiting), otherwise=False)
