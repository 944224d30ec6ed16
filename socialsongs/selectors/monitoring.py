"""Counts of rows and their ages for monitoring, by the database's clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q, QuerySet, Sum
from django.db.models.functions import Now

from ..broker import BULK, INTERACTIVE
from ..models import (
    Event,
    ModelRelease,
    Post,
    RecommendationRequest,
    Song,
    SongEmbedding,
    State,
    WebhookDelivery,
    WebhookEndpoint,
    Worker,
)
from .releases import live_releases
from .workers import all_workers

# Upper bounds of the buckets in seconds; one more bucket holds longer times.
BOUNDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RECENT = timedelta(hours=1)


class Pending(NamedTuple):
    lane: str
    kind: str
    rows: int
    oldest_seconds: float


class Failed(NamedTuple):
    kind: str
    reason: str
    rows: int


class Coverage(NamedTuple):
    release: ModelRelease
    encoded: int
    songs: int


class ReadyTimes(NamedTuple):
    """``within``: how many posts took at most each of BOUNDS."""

    within: list[int]
    posts: int
    seconds: float


def pending() -> Iterator[Pending]:
    """Yield the unfinished rows of each lane: waiting for a worker, or claimed by one."""
    requests = RecommendationRequest.objects.exclude(post__state=State.FAILED)  # workers do not claim those
    yield _pending(INTERACTIVE, "posts", Post.objects.all(), since="created_at")
    yield _pending(INTERACTIVE, "requests", requests.filter(bulk=False), since="created_at")
    # Rows of the bulk lane are often old ones that were queued again.
    yield _pending(BULK, "requests", requests.filter(bulk=True), since="queued_at")
    yield _pending(BULK, "songs", _rows_of_live_releases(), since="queued_at")


def _pending(lane: str, kind: str, rows: QuerySet[Any], *, since: str) -> Pending:
    unfinished = rows.filter(state__in=[State.QUEUED, State.ANALYSING])
    found = unfinished.aggregate(rows=Count("pk"), age=Now() - Min(since))
    # A row that waits for its next attempt has its queued_at in the future.
    age = max(found["age"] or timedelta(), timedelta())
    return Pending(lane, kind, found["rows"], age.total_seconds())


def _rows_of_live_releases() -> QuerySet[SongEmbedding]:
    return SongEmbedding.objects.filter(release__in=live_releases().order_by())


class Undelivered(NamedTuple):
    """``kind``: "signals" (events whose receivers have not heard) or "webhooks" (deliveries to endpoints)."""

    kind: str
    waiting: int
    oldest_seconds: float
    failed: int


def undelivered() -> Iterator[Undelivered]:
    """Yield what waits to be sent, and what failed to the end."""
    for kind, rows, since in (
        ("signals", Event.objects.all(), "created_at"),
        ("webhooks", WebhookDelivery.objects.all(), "queued_at"),
    ):
        waits = Q(state="waiting")
        counts = rows.aggregate(
            waiting=Count("pk", filter=waits),
            age=Now() - Min(since, filter=waits),
            failed=Count("pk", filter=Q(state="failed")),
        )
        age = max(counts["age"] or timedelta(), timedelta())
        yield Undelivered(kind, counts["waiting"], age.total_seconds(), counts["failed"])


def endpoint_states() -> dict[str, int]:
    """Count the endpoints of webhooks by state: verified, unverified, failing, disabled."""
    rows = WebhookEndpoint.objects.aggregate(
        verified=Count("pk", filter=Q(active=True, verified_at__isnull=False, failing_since=None)),
        unverified=Count("pk", filter=Q(active=True, verified_at=None, failing_since=None)),
        failing=Count("pk", filter=Q(active=True, failing_since__isnull=False)),
        disabled=Count("pk", filter=Q(active=False)),
    )
    return dict(rows)


def failed() -> Iterator[Failed]:
    """Yield the failed rows, counted by reason."""
    kinds: dict[str, QuerySet[Any]] = {
        "posts": Post.objects.all(),
        "requests": RecommendationRequest.objects.all(),
        "songs": _rows_of_live_releases(),
    }
    for kind, rows in kinds.items():
        by_reason = rows.filter(state=State.FAILED).order_by("reason").values_list("reason").annotate(Count("pk"))
        for reason, count in by_reason:
            yield Failed(kind, reason, count)


def coverage() -> Iterator[Coverage]:
    """Yield the coverage of each live release.

    Counts the rows by an index, for frequent scrapes; rows of songs written without services follow within some turns
    of the reconciler. ``selectors.releases.encoding_coverage`` is exact, and reads both tables.
    """
    songs = Song.objects.exclude(status=Song.Status.RETIRED).count()
    rows = _rows_of_live_releases().filter(state__in=[State.READY, State.FAILED]).exclude(status=Song.Status.RETIRED)
    done = dict(rows.order_by().values_list("release").annotate(rows=Count("*")))
    for release in live_releases():
        yield Coverage(release, done.get(release.pk, 0), songs)


def workers() -> list[tuple[Worker, bool]]:
    """Each worker that has a row, and whether it is live."""
    return [(row, row.live) for row in all_workers()]


def ready_times() -> ReadyTimes:
    """Return the times from upload to ready of posts that became ready in the last hour."""
    took = ExpressionWrapper(F("finished_at") - F("created_at"), output_field=DurationField())
    posts = Post.objects.filter(state=State.READY, finished_at__gt=Now() - RECENT).annotate(took=took)
    within = {f"within_{bound}": Count("pk", filter=Q(took__lte=timedelta(seconds=bound))) for bound in BOUNDS}
    found = posts.aggregate(posts=Count("pk"), total=Sum("took"), **within)
    total: timedelta = found["total"] or timedelta()
    return ReadyTimes([found[name] for name in within], found["posts"], total.total_seconds())
