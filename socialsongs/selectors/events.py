"""Events that wait, and what they say."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Now

from ..models import Event
from ..signals import PostEvent


def as_post_event(event: Event) -> PostEvent:
    """Return what receivers get of an event."""
    photo = event.details.get("photo") or {}
    return PostEvent(
        id=event.pk,
        kind=event.kind,
        created_at=event.created_at,
        post_id=event.post,
        request_id=event.request,
        song_id=event.song,
        owner_id=event.owner_id,
        photo_model=photo.get("model"),
        photo_key=photo.get("key"),
        reason=event.details.get("reason", ""),
    )


def due_events() -> QuerySet[Event]:
    """Return the events whose deliveries are not made yet, and those whose signal is due."""
    new = Event.objects.filter(fanned_out=False)
    return new | Event.objects.filter(state=Event.State.WAITING, next_at__lte=Now())
