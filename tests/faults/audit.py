"""The invariants of the rows after any fault: no post lost or answered twice, no lease left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from socialsongs.conf import config
from socialsongs.models import (
    Event,
    ModelRelease,
    PhotoAnalysis,
    PhotoSubject,
    Post,
    RecommendationRequest,
    SongEmbedding,
    State,
    Suggestion,
)

OPEN = [State.QUEUED, State.ANALYSING]
LEASED = (Post, RecommendationRequest, SongEmbedding)


@dataclass
class Audit:
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)


def open_posts() -> int:
    """Return the number of posts that are not done, or whose requests are not."""
    return Post.objects.filter(Q(state__in=OPEN) | Q(requests__state__in=OPEN)).distinct().count()


def audit(accepted: Iterable[UUID]) -> Audit:
    """Check all invariants, over the posts that were accepted."""
    found = Audit()
    posts = {post.pk: post for post in Post.objects.prefetch_related("requests__suggestions", "photos__subjects")}
    songs = SongEmbedding.objects.filter(release__state="active", stage_one__isnull=False, status="published").count()
    wanted = min(config().SUGGESTIONS, songs)
    for pk in accepted:
        if post := posts.pop(pk, None):
            found.states[post.state] += 1
            if post.state == State.FAILED:
                found.reasons[post.reason] += 1
            _audit_post(found, post, wanted)
        else:
            found.lost.append(f"post {pk} is gone")
    found.double += [f"post {pk} was never accepted" for pk in posts]
    _audit_analyses(found)
    _audit_events(found)
    _audit_leases(found)
    return found


def _audit_post(found: Audit, post: Post, wanted: int) -> None:
    requests = list(post.requests.all())
    suggestions = [suggestion for request in requests for suggestion in request.suggestions.all()]
    if len(requests) != 1:
        (found.double if requests else found.lost).append(f"post {post.pk} has {len(requests)} requests")
    if {request.state for request in requests} != {post.state}:
        found.lost.append(f"post {post.pk} is {post.state}, its request {[request.state for request in requests]}")
    match post.state:
        case State.READY:
            ranks = sorted(suggestion.rank for suggestion in suggestions)
            if ranks != list(range(1, wanted + 1)):
                (found.lost if len(ranks) < wanted else found.double).append(f"post {post.pk} has the ranks {ranks}")
            if len({suggestion.release_id for suggestion in suggestions}) > 1:
                found.double.append(f"post {post.pk} has suggestions of several releases")
        case State.FAILED:
            if not post.reason:
                found.lost.append(f"post {post.pk} failed without a reason")
            if suggestions:
                found.double.append(f"post {post.pk} failed and has {len(suggestions)} suggestions")
        case state:
            found.lost.append(f"post {post.pk} is {state}")


def _audit_analyses(found: Audit) -> None:
    active = ModelRelease.objects.get(state=ModelRelease.State.ACTIVE)
    per_subject = PhotoAnalysis.objects.values("subject", "release").annotate(rows=Count("pk"))
    found.double += [f"{row['rows']} analyses of {row['subject']}" for row in per_subject.filter(rows__gt=1)]
    ready = Post.objects.filter(state=State.READY).values_list("photos__subjects", flat=True)
    unseen = PhotoSubject.objects.filter(pk__in=ready).exclude(analyses__release=active)
    found.lost += [f"photo {subject.pk} of a ready post has no analysis" for subject in unseen]
    stray = Suggestion.objects.exclude(request__post__state=State.READY)
    found.double += [f"suggestion {row.pk} of a post that is not ready" for row in stray]


def _audit_events(found: Audit) -> None:
    """Each post that is done has one event that says so: it was written in the same transaction."""
    kinds = {State.READY: Event.Kind.SUGGESTIONS_READY, State.FAILED: Event.Kind.POST_FAILED}
    events = Counter(Event.objects.filter(kind__in=kinds.values()).values_list("kind", "post"))
    expected = Counter((kinds[State(state)], pk) for pk, state in Post.objects.values_list("pk", "state"))
    found.lost += [f"post {post} has no event {kind}" for kind, post in expected - events]
    found.double += [f"post {post} has too many events {kind}" for kind, post in events - expected]


def _audit_leases(found: Audit) -> None:
    for model in LEASED:
        rows: Any = model.objects
        held = rows.filter(state=State.ANALYSING) | rows.exclude(lease_token=None) | rows.exclude(lease_expires_at=None)
        found.lost += [f"{model.__name__} {row.pk} is {row.state}, its lease not given back" for row in held.distinct()]
