"""Lists that were shown to people, and what they chose from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from ..models import Feedback, ModelRelease, Post, Suggestion

NORMAL_95 = 1.959964


class ChooseRate(NamedTuple):
    """Of one release: lists shown, lists with a choice, the share of these, and its 95 % interval."""

    release: str
    lists: int
    chosen: int
    rate: float
    low: float
    high: float


def choose_rates(*, since: datetime | None = None) -> list[ChooseRate]:
    """Return the choose rates by name of the release, of lists with impressions since then.

    Lists of deleted posts do not count, since it is no longer known which songs were one list.
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
    """Return the share and its 95 % interval (Wilson 1927)."""
    share, z = part / whole, NORMAL_95
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return share, max(0.0, middle - half), min(1.0, middle + half)


class ShownSong(NamedTuple):
    rank: int
    score: float


@dataclass(frozen=True)
class ShownSuggestions:
    """A list that was shown for a post: its songs by rank, and the one that was chosen, if any."""

    post: UUID
    songs: dict[UUID, ShownSong]
    chosen: UUID | None


def shown_lists(*, release: ModelRelease, limit: int, public_only: bool = False) -> list[ShownSuggestions]:
    """Return the newest lists of a release that were shown for existing posts, oldest first.

    Leaves out requests with a text, requests that another release answered again, whose earlier lists are no longer
    known, songs that were pinned or offered because none fitted, and lists of which such a song was chosen. Of several
    choices the last one counts.
    """
    shown = _impressions().filter(release=release, request__post__isnull=False, request__text="")
    if public_only:
        shown = shown.filter(request__post__visibility=Post.Visibility.PUBLIC)
    newest = shown.values("request", "request__post").annotate(at=Min("created_at")).order_by("-at", "request")
    posts = {row["request"]: row["request__post"] for row in newest[:limit]}
    of_these = {"request__in": list(posts), "release": release}
    choices = Feedback.objects.filter(kind=Feedback.Kind.CHOOSE, **of_these).order_by("created_at", "pk")
    chosen = dict(choices.values_list("request", "song"))
    songs: dict[UUID, dict[UUID, ShownSong]] = {}
    matches = (Suggestion.Origin.MATCH, Suggestion.Origin.EXPLORATION)
    suggested = Suggestion.objects.filter(**of_these, origin__in=matches).order_by("request", "rank")
    for request, song, rank, score in suggested.values_list("request", "song", "rank", "score"):
        songs.setdefault(request, {})[song] = ShownSong(rank, score)
    return [
        ShownSuggestions(post, songs[request], chosen.get(request))
        for request, post in reversed(posts.items())
        if request in songs and chosen.get(request) in (None, *songs[request])
    ]
