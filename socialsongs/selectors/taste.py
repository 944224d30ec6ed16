"""What somebody likes, by their own choices and skips; nobody else's rows are ever read for it."""

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
    """None: the host has not offered it to this person."""
    return Taste.objects.filter(user=user).first()


def taste_songs(*, user: Person) -> tuple[list[Song], list[Song]]:
    """The songs that count as liked and as disliked, newest first; shown even while it is turned off."""
    taste = taste_of(user=user)
    events = _events(taste) if taste else []
    songs = Song.objects.in_bulk([song for song, _ in events])
    known = [(songs[song], liked) for song, liked in events if song in songs]  # one may be deleted in between
    return [song for song, liked in known if liked], [song for song, liked in known if not liked]


def taste_events(*, user: Person) -> list[tuple[UUID, bool]]:
    """What counts when songs are suggested to this person: song ids and whether they liked them, newest first."""
    taste = taste_of(user=user)
    return _events(taste) if taste and taste.enabled else []


def _events(taste: Taste) -> list[tuple[UUID, bool]]:
    """Of their latest choices and skips of published songs; a song counts by what was done with it last."""
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
