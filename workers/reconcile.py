"""Re-queues what the rows say is missing, whatever became of the messages."""

from __future__ import annotations

import logging

from socialsongs import dispatch
from socialsongs.models import ModelRelease, Post, RecommendationRequest, SongEmbedding
from socialsongs.services.catalogue import sync_embeddings

from .claim import claimable, fail_exhausted

logger = logging.getLogger(__name__)


def reconcile() -> None:
    """Bring embedding rows in line with the songs, end rows that used up their attempts, and announce what waits."""
    sync_embeddings()
    for rows in (Post.objects, RecommendationRequest.objects, SongEmbedding.objects):
        if ended := fail_exhausted(rows.all()):
            logger.error("%d rows of %s used up their attempts", ended, rows.model.__name__)
    if claimable(Post.objects.all()).exists() or claimable(RecommendationRequest.objects.all()).exists():
        dispatch.send(dispatch.DRAIN_INTERACTIVE)
    live = SongEmbedding.objects.exclude(release__state=ModelRelease.State.RETIRED)
    if claimable(live).exists():
        dispatch.send(dispatch.DRAIN_BULK)
