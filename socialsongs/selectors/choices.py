"""What people chose from the lists that they were shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from ..models import Feedback, Post, Suggestion

NORMAL_95 = 1.959964


class ChooseRate(NamedTuple):
    """Of one release: the lists that were shown, how many had a choice, their share and its 95 % interval."""

    release: str
    lists: int
    chosen: int
    rate: float
    low: float
    high: float


def choose_rates(*, since: datetime | None = None) -> list[ChooseRate]:
    """By the release's name, of lists that were first or again shown since then. A list counts when it is known that
    a song of it came into view; those of deleted posts do not, since nobody knows any more which songs were one list.
    """
    shown = _impressions()
    if since is not None:
        shown = shown.filter(created_at__gte=since)
    choice = Feedback.objects.filter(
        kind=Feedback.Kind.CHOOSE, request=OuterRef("request"), release=OuterRef("release")
    )
    found = (
        shown.annotate(chosen=Exists(choice))
        .values("release__name")
        .annotate(
            lists=Count("request", distinct=True), with_choice=Count("request", distinct=True, filter=Q(chosen=True))
        )
        .order_by("release__name")
    )
    return [
        ChooseRate(row["release__name"], row["lists"], row["with_choice"], *_share(row["with_choice"], row["lists"]))
        for row in found
    ]


def _impressions() -> QuerySet[Feedback]:
    return Feedback.objects.filter(kind=Feedback.Kind.IMPRESSION, request__isnull=False)


def _share(part: int, whole: int) -> tuple[float, float, float]:
    """With its 95 % interval (Wilson 1927)."""
    share, z = part / whole, NORMAL_95
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return share, max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Shown:
    """A list that was shown for a post's photos: songs by rank, the one that was chosen, and the random one."""

    post: UUID
    songs: dict[UUID, int]
    chosen: UUID | None
    explored: UUID | None


def shown_lists(*, limit: int, public_only: bool = False) -> list[Shown]:
    """The newest lists that were shown for posts that are still there, the oldest of them first.

    Of a list that was answered anew since, it is not known any more what was in it: it is left out. Where the choice
    was changed, the last one counts.
    """
    shown = _impressions().filter(request__post__isnull=False, request__text="")
    if public_only:
        shown = shown.filter(request__post__visibility=Post.Visibility.PUBLIC)
    newest = (
        shown.values("request", "release", "request__post").annotate(at=Min("created_at")).order_by("-at", "request")
    )
    lists = {(row["request"], row["release"]): row["request__post"] for row in newest[:limit]}
    requests = [request for request, _ in lists]
    choices = {(request, release): song for request, release, song in _choices(requests)}
    songs: dict[tuple[UUID, int], dict[UUID, int]] = {}
    explored: dict[tuple[UUID, int], UUID] = {}
    suggested = Suggestion.objects.filter(request__in=requests).order_by("request", "rank")
    for request, release, song, rank, origin in suggested.values_list("request", "release", "song", "rank", "origin"):
        songs.setdefault((request, release), {})[song] = rank
        if origin == Suggestion.Origin.EXPLORATION:
            explored[request, release] = song
    return [
        Shown(post, songs[key], choices.get(key), explored.get(key))
        for key, post in reversed(lists.items())
        if key in songs and choices.get(key) in (None, *songs[key])
    ]


def _choices(requests: Sequence[UUID]) -> QuerySet[Feedback, tuple[UUID, int, UUID]]:
    """The last one last."""
    rows = Feedback.objects.filter(kind=Feedback.Kind.CHOOSE, request__in=requests).order_by("created_at", "pk")
    return rows.values_list("request", "release", "song")
