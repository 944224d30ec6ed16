"""Requests suggestions: other songs for a post, perhaps steered by a text, or songs for a text alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from .. import dispatch
from ..database import atomic
from ..errors import PostFailed, TextRefused
from ..models import Post, RecommendationRequest, State
from ..selectors.posts import default_parameters
from .posts import lock_post, lock_uploads
from .waiting import wait_while

if TYPE_CHECKING:
    from ..user_types import Person

MOST_CHARACTERS: int = RecommendationRequest._meta.get_field("text").max_length  # type: ignore[assignment]  # it has one


def request_recommendations(
    *, post: Post, text: str = "", parameters: Mapping[str, Any] | None = None
) -> RecommendationRequest:
    """Queue a request for a post; a worker answers it when the photos have been analysed.

    ``parameters``: values that replace those of ``default_parameters``; None keeps the default. Raises PostFailed
    or UnknownPost.
    """
    with atomic():
        if lock_post(post=post).state == State.FAILED:
            raise PostFailed(_("This post failed, so no songs can be suggested for it. Retry the post first."))
        request = RecommendationRequest.objects.create(post=post, text=text, parameters=_changed(parameters))
        dispatch.announce_photos()
    return request


def request_for_text(*, owner: Person, text: str, parameters: Mapping[str, Any] | None = None) -> RecommendationRequest:
    """Queue a request for songs that match a text, without photos; only its owner sees it.

    ``parameters``: as for ``request_recommendations``. Raises TextRefused or UnknownUser.
    """
    if not any(map(str.isalnum, text)):
        raise TextRefused(_("Write words: this text has no letter or digit."))
    if len(text) > MOST_CHARACTERS:
        raise TextRefused(
            _("The text has %(characters)s characters; at most %(most)s are allowed.")
            % {"characters": len(text), "most": MOST_CHARACTERS}
        )
    if "\0" in text:
        raise TextRefused(_("The text contains a null character, which is not allowed."))
    with atomic():
        lock_uploads(owner=owner)  # or the account could be deleted meanwhile
        request = RecommendationRequest.objects.create(owner=owner, text=text, parameters=_changed(parameters))
        dispatch.announce_photos()
    return request


def delete_text_request(*, request: RecommendationRequest) -> None:
    """Delete a request for a text with its suggestions; its feedback stays, without the person."""
    delete_requests(requests=RecommendationRequest.objects.filter(pk=request.pk))


def delete_requests(*, requests: QuerySet[RecommendationRequest]) -> int:
    """Delete requests; return how many. A worker that writes their suggestions at the moment is waited for."""
    with atomic():
        keys = list(requests.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        RecommendationRequest.objects.filter(pk__in=keys).delete()
    return len(keys)


def _changed(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    defaults = default_parameters()
    return {name: value for name, value in (parameters or {}).items() if value not in (None, defaults[name])}


def wait_for_answer(*, request: RecommendationRequest, user: Person, seconds: float) -> bool:
    """Wait until the request is answered or the time is up; False when it was not waited (``wait_while``)."""
    unanswered = RecommendationRequest.objects.filter(pk=request.pk, state__in=[State.QUEUED, State.ANALYSING])
    return wait_while(unfinished=unanswered.exclude(post__state=State.FAILED), user=user, seconds=seconds)
