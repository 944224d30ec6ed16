"""The body of a webhook: which ids an event is about, and where to read more. No lyrics, captions or coordinates."""

from __future__ import annotations

import json
from typing import Any

from django.urls import NoReverseMatch, reverse

from ..models import ApiClient, Event, ExternalUser
from ..selectors.events import as_post_event

VERSION = 1  # a new one only when a field changes its meaning or goes; fields may be added


def body_of(event: Event, *, client: ApiClient | None) -> bytes:
    """Return the JSON for an endpoint of ``client``; None: of the site's staff."""
    payload = {
        "type": event.kind,
        "timestamp": event.created_at.isoformat().replace("+00:00", "Z"),
        "version": VERSION,
        "data": {"challenge": event.challenge} if event.kind == Event.Kind.PING else _data(event, client),
    }
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def _data(event: Event, client: ApiClient | None) -> dict[str, Any]:
    told = as_post_event(event)
    photo = {"model": told.photo_model, "key": told.photo_key} if told.photo_model else None
    return {
        "post": _text(told.post_id),
        "request": _text(told.request_id),
        "song": _text(told.song_id),
        "reason": told.reason or None,
        "owner": _external_id(told.owner_id, client),
        "photo": photo,
        "links": {
            "post": _path("post", told.post_id),
            "request": _path("recommendation", told.post_id, told.request_id)
            if told.post_id
            else _path("text-recommendation", told.request_id),
            "song": _path("song", told.song_id),
        },
    }


def _text(key: object) -> str | None:
    return None if key is None else str(key)


def _external_id(owner: Any, client: ApiClient | None) -> str | None:
    if owner is None:
        return None
    people = ExternalUser.objects.filter(user=owner)
    if client is not None:
        people = people.filter(client=client)
    return people.order_by("pk").values_list("external_id", flat=True).first()


def _path(name: str, *keys: object) -> str | None:
    """Return the path on the site; None where there is none, or the site does not have the API's addresses."""
    if None in keys:
        return None
    try:
        return reverse(f"socialsongs:{name}", args=keys)
    except NoReverseMatch:
        return None
