"""Posts in the interactive lane: claim a batch, decode and analyse its photos, suggest songs, write the results.

Each step works on the whole batch: photos are decoded ahead on threads, one pass for each release analyses them, one
transaction writes all results, or several where the database refuses a row.
"""

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

from recommender.results import PhotoView
from socialsongs.broker import BULK, INTERACTIVE
from socialsongs.conf import config
from socialsongs.models import ModelRelease, PhotoAnalysis, PhotoSubject, Post, PostPhoto, RecommendationRequest, State
from socialsongs.selectors.photo_rows import photo_rows
from socialsongs.selectors.releases import lock_serving_releases
from socialsongs.services import events

from ..failures import Outage, PermanentFailure, ReleaseChanged
from ..figures import FIGURES
from ..inference.loading import LoadedRelease
from ..inference.passes import MODEL_ERRORS, PHOTO_PASSES, as_failure
from ..inference.photo_loading import decode, failure_of
from ..inference.serving import ServingReleases
from ..suggesting.query import SongQuery
from ..suggesting.suggest import SuggestionList, save_suggestions, suggest_songs
from .claim import (
    Claim,
    claim,
    delay,
    finish,
    hand_back,
    holding,
    in_halves,
    put_back,
    renew,
    return_after_database_error,
    through_outage,
)

logger = logging.getLogger(__name__)


@dataclass
class BatchItem:
    """A post of a batch with the results of the steps so far, or the failure that stopped it."""

    post: Post
    serving: LoadedRelease
    subjects: list[PhotoSubject]
    decoding: list[Future[Tensor]]
    views: list[PhotoView] = field(default_factory=list)
    requests: list[RecommendationRequest] = field(default_factory=list)  # the default one; none: deleted meanwhile
    suggestions: SuggestionList | None = None
    failure: BaseException | None = None


@dataclass(frozen=True)
class PostBatch:
    releases: ServingReleases
    claim: Claim[Post]
    items: list[BatchItem]


def claim_posts(
    releases: ServingReleases, *, fresh: bool = False, bulk: bool = False, limit: int | None = None
) -> PostBatch | None:
    """Claim a batch of a lane's posts and start to decode their photos on threads.

    ``fresh``: only posts without an attempt. ``limit``: None for that of the interactive lane.
    """
    with FIGURES.stage("claim"):
        photos = PostPhoto.objects.order_by("position").prefetch_related(photo_rows("subjects__photo"))
        posts = Post.objects.filter(bulk=bulk).select_related("subject")
        posts = posts.prefetch_related(Prefetch("photos", photos), photo_rows("subject__photo"))
        claimed = claim(posts, limit=limit or config().INTERACTIVE_BATCH, fresh=fresh)
    if not claimed.rows:
        return None
    items = []
    for post in claimed.rows:
        subjects = post.photo_subjects
        serving = releases.for_person(post.owner_id)
        items.append(BatchItem(post, serving, subjects, [decode(serving.model, subject) for subject in subjects]))
    return PostBatch(releases, claimed, items)


def answer_bulk_posts(releases: ServingReleases, *, limit: int) -> int:
    """Claim posts of the bulk lane, analyse them and suggest songs; return how many were claimed."""
    batch = claim_posts(releases, bulk=True, limit=limit)
    if batch is None:
        return 0
    try:
        analyse_batch(batch, lane=BULK)
    except (OperationalError, InterfaceError):
        hand_back_batch(batch)
        raise
    answer_batch(batch)
    return len(batch.items)


def analyse_batch(batch: PostBatch, *, lane: str = INTERACTIVE) -> None:
    """Wait for the decoded photos and analyse them: the step that runs the tagger."""
    FIGURES.batch(lane, len(batch.items))
    renew(batch.claim)  # the batch may have waited for the one before
    with FIGURES.stage("decode"):
        for item in batch.items:
            _wait_for_photos(item)
    with FIGURES.stage("look"):
        analyse_photos(batch)


def answer_batch(batch: PostBatch) -> None:
    """Suggest songs and write the results; each post leaves its claim; on a thread, beside the next batch."""
    try:
        renew(batch.claim)
        suggest_for_posts(batch)
        with FIGURES.stage("write"):
            write_results(batch)
    except (OperationalError, InterfaceError):
        return_after_database_error(batch.claim.rows, batch.claim.token)
        raise


def hand_back_batch(batch: PostBatch) -> None:
    """Stop decoding, and hand back a batch for which nothing was written."""
    for item in batch.items:
        for decoding in item.decoding:
            decoding.cancel()
    through_outage(partial(hand_back, batch.claim.rows, batch.claim.token))


def _wait_for_photos(item: BatchItem) -> None:
    without_photos = None if item.decoding else PermanentFailure("photo_missing")
    item.failure = next(filter(None, map(failure_of, item.decoding)), without_photos)


def analyse_photos(batch: PostBatch) -> None:
    """Analyse the decoded photos, in one pass for each release that serves owners of this batch."""
    decoded = [item for item in batch.items if item.failure is None]
    for serving in (batch.releases.active, *batch.releases.staged):
        _analyse_together(serving, [item for item in decoded if item.serving == serving])


def _analyse_together(serving: LoadedRelease, items: Sequence[BatchItem]) -> None:
    photos = [decoding.result() for item in items for decoding in item.decoding]
    results = iter(PHOTO_PASSES.run(serving.model.analyse_pixels, photos))
    for item in items:
        for view in [next(results) for _ in item.decoding]:
            if isinstance(view, Exception):
                logger.error("Post %s could not be analysed", item.post.pk, exc_info=view)
                item.failure = view
            else:
                item.views.append(view)


def suggest_for_posts(batch: PostBatch) -> None:
    """Suggest songs for the default request of each post."""
    by_post = {item.post.pk: item for item in batch.items}
    for request in RecommendationRequest.objects.filter(post__in=by_post, is_default=True).select_related("post"):
        item = by_post[request.post_id]  # type: ignore[index]
        item.requests.append(request)
        if item.failure is None:
            try:
                item.suggestions = suggest_songs(item.serving, SongQuery.of(request, item.views))
            except (OperationalError, InterfaceError):
                raise
            except (DatabaseError, *MODEL_ERRORS) as error:
                logger.exception("No songs could be suggested for post %s", item.post.pk)
                item.failure = as_failure(error)


def write_results(batch: PostBatch) -> None:
    """Write all that succeeded in one transaction; then fail, hand back, delay or put back each of the other posts."""
    token = batch.claim.token
    succeeded = [item for item in batch.items if item.failure is None]
    try:
        for item, error in in_halves(partial(_write_together, token), succeeded):
            item.failure = error
    except ReleaseChanged as changed:
        logger.warning("%d posts are handed back: %s", len(succeeded), changed)
        for item in succeeded:  # handing back does nothing to posts that are written: their claim has ended
            item.failure = changed
    for item in batch.items:
        match item.failure:
            case None:
                continue
            case PermanentFailure() as failure:
                through_outage(partial(_write_failed, item, token, failure.reason))
            case ReleaseChanged():
                through_outage(partial(hand_back, [item.post], token))
            case Outage() as failure:
                logger.warning("Post %s is delayed: %s", item.post.pk, failure)
                through_outage(partial(delay, item.post, token, reason=failure.reason))
            case failure:
                logger.warning("Post %s is put back: %r", item.post.pk, failure)
                through_outage(partial(put_back, item.post, token))


def _write_together(token: UUID, items: Sequence[BatchItem]) -> None:
    with holding([item.post for item in items], token) as held:
        by_release = {item.serving.release: item.serving for item in items}
        check_serving(by_release)
        for serving in by_release.values():
            ours = [item for item in items if item.post in held and item.serving == serving]
            save_analyses(serving, [pair for item in ours for pair in zip(item.subjects, item.views, strict=True)])
            lists = {request: item.suggestions for item in ours for request in item.requests if item.suggestions}
            write_answers(serving.release, lists)
        finish(held)


def _write_failed(item: BatchItem, token: UUID, reason: str) -> None:
    with holding([item.post], token) as held:
        if held:
            finish(held, state=State.FAILED, reason=reason)
            finish(item.requests, state=State.FAILED, reason=reason)


def check_serving(releases: Collection[ModelRelease]) -> None:
    """Check that the releases serve, and keep them serving until the end of this transaction. Raises ReleaseChanged."""
    serving = lock_serving_releases(releases=releases)
    for release in releases:
        if release.pk not in serving:
            raise ReleaseChanged(f"{release.name} no longer serves")


def write_answers(release: ModelRelease, lists: dict[RecommendationRequest, SuggestionList]) -> None:
    """Save the suggestions, finish the requests and record the event, inside a transaction."""
    save_suggestions({request.pk: suggestions for request, suggestions in lists.items()})
    by_outcome: dict[tuple[bool, str, tuple[str, ...]], list[RecommendationRequest]] = defaultdict(list)
    for request, suggestions in lists.items():
        by_outcome[suggestions.confident, suggestions.notice, tuple(suggestions.unused)].append(request)
    for (confident, notice, unused), requests in by_outcome.items():
        finish(requests, release=release, confident=confident, notice=notice, unused=list(unused), shown_at=None)
    events.suggestions_ready(requests=lists)


def save_analyses(serving: LoadedRelease, views: Sequence[tuple[PhotoSubject, PhotoView]]) -> None:
    PhotoAnalysis.objects.bulk_create(
        (
            PhotoAnalysis(
                subject=subject,
                release=serving.release,
                tags=[asdict(tag) for tag in view.tags],
                embedding=view.embedding.tolist(),
                direction=serving.model.direction(view.embedding).tolist(),
            )
            for subject, view in views
        ),
        update_conflicts=True,
        unique_fields=["subject", "release"],
        update_fields=["tags", "embedding", "direction"],
    )
