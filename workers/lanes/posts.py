"""Posts to be looked at: claimed and decoded ahead, one forward pass for a batch, one transaction for its results."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import Prefetch
from torch import Tensor

from recommender.model import PhotoView
from socialsongs.conf import config
from socialsongs.models import ModelRelease, PhotoAnalysis, PhotoSubject, Post, PostPhoto, RecommendationRequest, State
from socialsongs.selectors.releases import answering

from ..failures import Outage, PermanentFailure, ReleaseChanged
from ..figures import FIGURES, INTERACTIVE
from ..inference.passes import FAILURES, LOOKS, as_failure
from ..inference.photo_loading import decode, failure_of
from ..inference.serving import Served, Serving
from ..suggesting.query import SongQuery
from ..suggesting.suggest import SuggestionList, save_suggestions, suggest_songs
from .claim import (
    Claim,
    claim,
    delay,
    finish,
    give_back,
    hand_back,
    holding,
    in_halves,
    put_back,
    renew,
    through_outage,
)

logger = logging.getLogger(__name__)


@dataclass
class Job:
    """A post on its way: decoded photos, then what was seen in them, then songs; or the failure that stopped it."""

    post: Post
    served: Served
    subjects: list[PhotoSubject]
    decoding: list[Future[Tensor]]
    views: list[PhotoView] = field(default_factory=list)
    requests: list[RecommendationRequest] = field(default_factory=list)
    found: SuggestionList | None = None
    failure: BaseException | None = None


@dataclass(frozen=True)
class PostBatch:
    serving: Serving
    claim: Claim[Post]
    jobs: list[Job]


def take_posts(serving: Serving, *, fresh: bool = False) -> PostBatch | None:
    """Claim a batch of posts and begin to decode their photos on threads; ``fresh``: none that was tried before."""
    with FIGURES.stage("claim"):
        photos = Prefetch("photos", PostPhoto.objects.order_by("position").prefetch_related("subjects__photo"))
        claimed = claim(Post.objects.prefetch_related(photos), limit=config().INTERACTIVE_BATCH, fresh=fresh)
    if not claimed.rows:
        return None
    jobs = []
    for post in claimed.rows:
        subjects = [subject for photo in post.photos.all() for subject in photo.subjects.all()]
        served = serving.of(post.owner_id)
        jobs.append(Job(post, served, subjects, [decode(served.model, subject) for subject in subjects]))
    return PostBatch(serving, claimed, jobs)


def look_at(batch: PostBatch) -> None:
    """The device's part: what there is to see in the photos of a batch."""
    FIGURES.batch(INTERACTIVE, len(batch.jobs))
    renew(batch.claim)  # it may have waited for the batch before
    with FIGURES.stage("decode"):
        for job in batch.jobs:
            _wait_for_photos(job)
    with FIGURES.stage("look"):
        look(batch)


def conclude(batch: PostBatch) -> None:
    """The database's part: from what was seen to suggestions; every post ends in a state of its own."""
    try:
        renew(batch.claim)
        rank(batch)
        with FIGURES.stage("write"):
            write(batch)
    except (OperationalError, InterfaceError):
        give_back(batch.claim.rows, batch.claim.token)
        raise


def give_up(batch: PostBatch) -> None:
    """Hand a batch back that nothing was done with."""
    for job in batch.jobs:
        for decoding in job.decoding:
            decoding.cancel()
    through_outage(partial(hand_back, batch.claim.rows, batch.claim.token))


def _wait_for_photos(job: Job) -> None:
    nothing = None if job.decoding else PermanentFailure("photo_missing")
    job.failure = next(filter(None, map(failure_of, job.decoding)), nothing)


def look(batch: PostBatch) -> None:
    """One forward pass for all photos that could be decoded and are for the same release."""
    good = [job for job in batch.jobs if job.failure is None]
    for served in (batch.serving.active, *batch.serving.beside):
        _look_together(served, [job for job in good if job.served == served])


def _look_together(served: Served, jobs: Sequence[Job]) -> None:
    seen = iter(LOOKS.run(served.model.look, [decoding.result() for job in jobs for decoding in job.decoding]))
    for job in jobs:
        for view in [next(seen) for _ in job.decoding]:
            if isinstance(view, Exception):
                logger.error("Post %s could not be looked at", job.post.pk, exc_info=view)
                job.failure = view
            else:
                job.views.append(view)


def rank(batch: PostBatch) -> None:
    """The default request of each post."""
    by_post = {job.post.pk: job for job in batch.jobs}
    for request in RecommendationRequest.objects.filter(post__in=by_post, is_default=True).select_related("post"):
        job = by_post[request.post_id]  # type: ignore[index]
        job.requests.append(request)
        if job.failure is None:
            try:
                job.found = suggest_songs(job.served.model, job.served.release, SongQuery.of(request, job.views))
            except (OperationalError, InterfaceError):
                raise
            except (DatabaseError, *FAILURES) as error:
                logger.exception("No songs could be found for post %s", job.post.pk)
                job.failure = as_failure(error)


def write(batch: PostBatch) -> None:
    """All that succeeded in one transaction, and what can never succeed in another; the rest waits for a later try."""
    token = batch.claim.token
    good = [job for job in batch.jobs if job.failure is None]
    try:
        for job, error in in_halves(partial(_write_together, token), good):
            job.failure = error
    except ReleaseChanged as changed:
        logger.warning("%d posts are taken anew: %s", len(good), changed)
        for job in good:  # those that are written already are no longer ours
            job.failure = changed
    for job in batch.jobs:
        match job.failure:
            case None:
                continue
            case PermanentFailure() as failure:
                through_outage(partial(_write_failed, job, token, failure.reason))
            case ReleaseChanged():
                through_outage(partial(hand_back, [job.post], token))
            case Outage() as failure:
                logger.warning("Post %s waits: %s", job.post.pk, failure)
                through_outage(partial(delay, job.post, token, reason=failure.reason))
            case failure:
                logger.warning("Post %s is put back: %r", job.post.pk, failure)
                through_outage(partial(put_back, job.post, token))


def _write_together(token: UUID, jobs: Sequence[Job]) -> None:
    with holding([job.post for job in jobs], token) as held:
        by_release = {job.served.release: job.served for job in jobs}
        check_serving(by_release)
        for served in by_release.values():
            ours = [job for job in jobs if job.post in held and job.served == served]
            save_analyses(served, [pair for job in ours for pair in zip(job.subjects, job.views, strict=True)])
            answer(served.release, {request: job.found for job in ours for request in job.requests if job.found})
        finish(held)


def _write_failed(job: Job, token: UUID, reason: str) -> None:
    with holding([job.post], token) as held:
        if held:
            finish(held, state=State.FAILED, reason=reason)
            finish(job.requests, state=State.FAILED, reason=reason)


def check_serving(releases: Collection[ModelRelease]) -> None:
    """Inside the transaction that writes: until its end they go on answering. Raises ReleaseChanged."""
    still = answering(releases=releases)
    for release in releases:
        if release.pk not in still:
            raise ReleaseChanged(f"{release.name} no longer answers")


def answer(release: ModelRelease, found: dict[RecommendationRequest, SuggestionList]) -> None:
    """Suggestions and end of requests, inside a transaction."""
    save_suggestions({request.pk: one for request, one in found.items()})
    alike: dict[tuple[bool, str], list[RecommendationRequest]] = defaultdict(list)
    for request, one in found.items():
        alike[one.confident, one.notice].append(request)
    for (confident, notice), requests in alike.items():
        finish(requests, release=release, confident=confident, notice=notice, shown_at=None)


def save_analyses(served: Served, seen: Sequence[tuple[PhotoSubject, PhotoView]]) -> None:
    PhotoAnalysis.objects.bulk_create(
        (
            PhotoAnalysis(
                subject=subject,
                release=served.release,
                tags=[asdict(tag) for tag in view.tags],
                embedding=view.embedding.tolist(),
                direction=served.model.direction(view.embedding).tolist(),
            )
            for subject, view in seen
        ),
        update_conflicts=True,
        unique_fields=["subject", "release"],
        update_fields=["tags", "embedding", "direction"],
    )
