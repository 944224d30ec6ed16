"""More suggestions for a post: other songs, or songs that are steered by a text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from .. import dispatch
from ..errors import PostFailed
from ..models import Post, RecommendationRequest, State
from ..selectors.posts import default_parameters

POLL_SECONDS = 0.04


def request_recommendations(
    *, post: Post, text: str = "", parameters: Mapping[str, Any] | None = None
) -> RecommendationRequest:
    """Queue a request for a post; it is answered when the post has been looked at.

    ``parameters``: those of ``default_parameters`` that shall be otherwise; None: as they are. Raises PostFailed.
    """
    defaults = default_parameters()
    asked = {name: value for name, value in (parameters or {}).items() if value not in (None, defaults[name])}
    if post.state == State.FAILED:
        raise PostFailed("This post failed, so that nothing can be suggested for it. Retry the post first.")
    with transaction.atomic():
        request = RecommendationRequest.objects.create(post=post, text=text, parameters=asked)
        dispatch.announce_photos()
    return request


def wait_for_answer(*, request: RecommendationRequest, seconds: float) -> None:
    """Until the request is answered, or the time is up. Each look is a short query: no transaction waits along."""
    deadline = time.monotonic() + seconds
    unanswered = RecommendationRequest.objects.filter(pk=request.pk, state__in=[State.QUEUED, State.ANALYSING])
    unanswered = unanswered.exclude(post__state=State.FAILED)
    while (left := deadline - time.monotonic()) > 0 and unanswered.exists():
        time.sleep(min(left, POLL_SECONDS))
