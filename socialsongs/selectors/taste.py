"""A person's taste by their own choices and skips; it never reads rows of other people."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from ..conf import config
from ..models import Feedback, Song, Taste

if TYPE_CHECKING:
    from ..user_types import Person

LIKED = [Feedback.Kind.CHOOSE]
DISLIKED = [Feedback.Kind.SKIP, Feedback.Kind.HIDE]


def taste_of(*, user: Person) -> Taste | None:
    """Return the person's taste; None when the host has not offered it to them."""
    return Taste.objects.filter(user=user).first()


def taste_songs(*, user: Person) -> tuple[list[Song], list[Song]]:
    """Return liked and disliked songs, newest first; also while taste is turned off."""
    taste = taste_of(user=user)
    events = _events(taste) if taste else []
    songs = Song.objects.in_bulk([song for song, _ in events])
    known = [(songs[song], liked) for song, liked in events if song in songs]  # a song can be deleted meanwhile
    return [song for song, liked in known if liked], [song for song, liked in known if not liked]


def taste_events(*, user: Person) -> list[tuple[UUID, bool]]:
    """Return song ids and whether the person liked them, newest first; empty while taste is off."""
    taste = taste_of(user=user)
    return _events(taste) if taste and taste.enabled else []


def _events(taste: Taste) -> list[tuple[UUID, bool]]:
    """Return the latest choices, skips and hides of published songs; the last one for each song counts."""
    rows = Feedback.objects.filter(
        user=taste.user_id,
        kind__in=[*LIKED, *DISLIKED],
        created_at__gte=taste.since,
        song__status=Song.Status.PUBLISHED,
    ).order_by("-created_at", "-pk")
    latest: dict[UUID, bool] = {}
    for song, kind in rows.values_list("song_id", "kind")[: config().TASTE_EVENTS]:
        latest.setdefault(song, kind in LIKED)
    return list(latest.items())
