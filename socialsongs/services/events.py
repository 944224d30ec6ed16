"""Writes events, in the transaction that changes a post; afterwards the maintenance worker tells who wants to hear."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from .. import dispatch
from ..models import Event, Post, RecommendationRequest, Song


def suggestions_ready(*, requests: Collection[RecommendationRequest]) -> None:
    """Record that requests were answered. ``requests``: with their posts loaded."""
    events = [
        Event(kind=Event.Kind.SUGGESTIONS_READY, post_id=request.post_id, request=request) for request in requests
    ]
    # The reconciler finds those of the bulk lane: there may be millions, and nobody waits for them.
    _record(events, wake=not all(request.bulk or (request.post and request.post.bulk) for request in requests))


def posts_failed(*, keys: Iterable[UUID], reason: str) -> None:
    """Record that posts failed for good, in the transaction that locks them."""
    _record([Event(kind=Event.Kind.POST_FAILED, post_id=pk, reason=reason) for pk in keys])


def song_chosen(*, post: Post, song: Song) -> None:
    _record([Event(kind=Event.Kind.SONG_CHOSEN, post=post, song=song.pk)])


def song_unchosen(*, posts: Iterable[Post], song: UUID) -> None:
    _record([Event(kind=Event.Kind.SONG_UNCHOSEN, post=post, song=song) for post in posts])


def _record(events: list[Event], *, wake: bool = True) -> None:
    Event.objects.bulk_create(events)
    if events and wake:
        dispatch.announce_events()
