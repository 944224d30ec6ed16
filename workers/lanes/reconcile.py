"""The reconciler: corrects rows and sends wake-ups, whatever happened to earlier messages."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import DatabaseError
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from socialsongs import dispatch
from socialsongs.attached.registry import attachments
from socialsongs.attached.sync import sweep_orphans, sync_rows
from socialsongs.conf import config
from socialsongs.models import Post, RecommendationRequest, SongEmbedding, State, WakeUpSender, Worker
from socialsongs.selectors.events import due_endpoints, due_events
from socialsongs.selectors.posts import answerable_requests
from socialsongs.selectors.releases import live_releases
from socialsongs.services.catalogue import sync_slice
from socialsongs.services.idempotency import forget_old_keys
from socialsongs.services.webhooks import delete_old_events

from .claim import claimable, fail_exhausted

logger = logging.getLogger(__name__)

# Rows of workers and of senders of wake-ups are deleted this long after they were last written.
GONE_AFTER = timedelta(days=1)


class Walk:
    """Progress through the catalogue, one slice for each run; a new process starts at the beginning."""

    after: UUID | None = None
    # Progress through the rows of attached models, and through the subjects of these, by the model's name.
    rows: ClassVar[dict[str, Any]] = {}
    subjects: ClassVar[dict[str, UUID | None]] = {}


def reconcile() -> None:
    """Bring embedding rows in line with songs, fail rows without attempts left, send wake-ups for rows that wait."""
    Walk.after = sync_slice(after=Walk.after)
    _follow_attached_photos()
    for rows in (Post.objects, RecommendationRequest.objects, SongEmbedding.objects):
        if failed := fail_exhausted(rows.all()):
            logger.error("%d rows of %s have used up their attempts", failed, rows.model.__name__)
    _fail_requests_of_failed_posts()
    if claimable(Post.objects.filter(bulk=False)).exists() or claimable(answerable_requests(bulk=False)).exists():
        dispatch.send(dispatch.DRAIN_INTERACTIVE)
    unpaused = SongEmbedding.objects.filter(release__in=live_releases().filter(paused=False))
    bulk = (unpaused, answerable_requests(bulk=True), Post.objects.filter(bulk=True))
    if any(claimable(rows).exists() for rows in bulk):
        dispatch.send(dispatch.DRAIN_BULK)
    if due_events().exists() or due_endpoints().exists():
        dispatch.send(dispatch.DELIVER_EVENTS)
    delete_old_events(older_than=timedelta(days=config().EVENT_RETENTION_DAYS))
    Worker.objects.filter(seen_at__lt=Now() - GONE_AFTER).delete()
    WakeUpSender.objects.filter(sent_at__lt=Now() - GONE_AFTER).delete()
    forget_old_keys()


def _follow_attached_photos() -> None:
    """Compare a slice of the rows of each attached model, and of their posts; an error of a host's model is logged."""
    for attachment in attachments():
        name = attachment.label
        try:
            Walk.rows[name] = sync_rows(attachment, after=Walk.rows.get(name))
            Walk.subjects[name] = sweep_orphans(attachment, after=Walk.subjects.get(name))
        except DatabaseError as error:
            logger.error("The rows of %s could not be compared with their posts: %s", name, error)


def _fail_requests_of_failed_posts() -> None:
    """Fail the queued requests of failed posts: workers claim requests of analysed posts only."""
    reason = Post.objects.filter(pk=OuterRef("post")).values("reason")
    RecommendationRequest.objects.filter(post__state=State.FAILED, state=State.QUEUED).update(
        state=State.FAILED, reason=Subquery(reason), finished_at=Now()
    )
