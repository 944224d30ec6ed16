"""Drain the lanes, people first: a photo waits for at most one small batch of the bulk lane.

While the device analyses one batch of posts, threads decode the photos of the next one, and suggest songs for the one
before and write its results.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import cache, partial

from celery.worker import state as worker_state
from django.db import InterfaceError, OperationalError, close_old_connections
from django.db.models.functions import Now

from recommender.card import ReleaseError
from socialsongs.conf import config
from socialsongs.database import connection
from socialsongs.models import ModelRelease, SongEmbedding
from socialsongs.selectors.releases import live_releases, searchable

from ..figures import FIGURES
from ..inference.loading import load_registered
from ..inference.serving import ServingReleases, load_serving
from .claim import claimable
from .posts import PostBatch, analyse_batch, answer_batch, answer_bulk_posts, claim_posts, hand_back_batch
from .requests import answer_requests
from .songs import encode_songs

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05  # between checks of the interactive lane while a rate limit holds the bulk lane


class Pace:
    """The number of bulk rows that take about BULK_MILLISECONDS, as measured with each batch."""

    def __init__(self, rows: float) -> None:
        self.rows = rows  # a first guess

    def timed(self, work: Callable[..., int]) -> int:
        """Run ``work(limit=...)``, which returns how many rows it claimed, and return that."""
        began = time.perf_counter()
        done = work(limit=min(config().BULK_BATCH, max(1, round(self.rows))))
        if done:
            fitting = done * config().BULK_MILLISECONDS / 1000 / (time.perf_counter() - began)
            self.rows = min(fitting, 2 * self.rows, config().BULK_BATCH)
        return done


# Small at first: in an empty catalogue, waiting posts can be answered as soon as the first songs are encoded.
SONGS, REQUESTS, POSTS = Pace(16), Pace(1), Pace(1)


def drain(*, bulk: bool) -> bool:
    """Work until nothing is left, the budget is used up or the worker is asked to stop; return True when work is left.

    ``bulk``: also drain the bulk lane. Raises ReleaseError, and leaves no row claimed, when
    the active release cannot be loaded.
    """
    loop = Loop()
    try:
        try:
            return loop.run(bulk=bulk)
        finally:
            with FIGURES.turn():
                loop.leave()
    except (OperationalError, InterfaceError) as error:
        logger.error("The database is away: %s. The reconciler will send a new wake-up.", error)
        connection().close()
        return False


@cache
def _answering_thread() -> ThreadPoolExecutor:
    """One thread, which keeps a database connection of its own."""
    return ThreadPoolExecutor(1, thread_name_prefix="behind")


def _answer_on_thread(batch: PostBatch) -> None:
    close_old_connections()  # Celery does this for the main thread only
    answer_batch(batch)


class Loop:
    """The state of one call of ``drain``.

    ahead     the next batch of posts: claimed, its photos are being decoded
    behind    the batch before: a thread suggests its songs and writes its results
    """

    def __init__(self) -> None:
        self.deadline = time.monotonic() + config().TASK_BUDGET_SECONDS
        self.ahead: PostBatch | None = None
        self.behind: Future[None] | None = None

    def run(self, *, bulk: bool) -> bool:
        """Drain; return True when work is left."""
        while not self._over():
            with FIGURES.turn():
                done = self._interactive() or (bulk and self._bulk())
            if done:
                continue
            if not (bulk and is_limited()):
                return False
            time.sleep(POLL_SECONDS)
        return True

    def leave(self) -> None:
        """Wait until the batch before is written, and hand back the next one. Raises what went wrong on the thread."""
        try:
            self._catch_up()
        finally:
            if self.ahead:
                hand_back_batch(self.ahead)

    def _over(self) -> bool:
        exit_codes = (worker_state.should_stop, worker_state.should_terminate)  # an exit code may be 0
        stopping = any(code is not None and code is not False for code in exit_codes)
        return stopping or time.monotonic() > self.deadline

    def _interactive(self) -> bool:
        """Work on one batch of posts and one of requests; return False when there was nothing."""
        releases = load_serving()
        if releases is None:
            logger.warning(
                "No release is active: posts wait. Register one with `manage.py socialsongs_releases register`."
            )
            return False
        FIGURES.release = releases.active.release.name
        if not searchable(release=releases.active.release):
            return False  # until the first songs are encoded; then the reconciler sends a wake-up
        posts = self._posts(releases)
        return bool(answer_requests(releases, limit=config().INTERACTIVE_BATCH)) or posts

    def _posts(self, releases: ServingReleases) -> bool:
        batch, self.ahead = self.ahead, None
        if batch and batch.releases != releases:  # its photos were decoded for other releases
            hand_back_batch(batch)
            batch = None
        batch = batch or claim_posts(releases)
        if batch is None:
            return False
        try:
            if batch.claim.tried_before:  # this post may kill the process: it must take no other batch with it
                self._catch_up()
            else:
                self.ahead = claim_posts(releases, fresh=True)
            analyse_batch(batch)
        except (OperationalError, InterfaceError):
            hand_back_batch(batch)
            raise
        try:
            self._catch_up()
        except BaseException:  # from the batch before
            hand_back_batch(batch)
            raise
        if self.ahead:
            self.behind = _answering_thread().submit(_answer_on_thread, batch)
        else:
            answer_batch(batch)
        return True

    def _catch_up(self) -> None:
        """Wait until the batch before is written. Raises what went wrong with it."""
        behind, self.behind = self.behind, None
        if behind:
            behind.result()

    def _bulk(self) -> bool:
        """Work on one batch: songs of the active release, else requests or posts, else songs of staged releases."""
        releases = load_serving()
        active = releases.active.release if releases else None
        if active and self._songs(active):
            return True
        if releases and REQUESTS.timed(partial(answer_requests, releases, bulk=True)):
            return True
        if (
            releases
            and searchable(release=releases.active.release)
            and POSTS.timed(partial(answer_bulk_posts, releases))
        ):
            return True
        return any(self._songs(release) for release in live_releases() if release != active)

    def _songs(self, release: ModelRelease) -> bool:
        limited = release.encode_after and live_releases().filter(pk=release.pk, encode_after__gt=Now()).exists()
        if release.paused or limited:
            return False
        try:
            loaded = load_registered(release)
        except ReleaseError as error:
            if release.state == ModelRelease.State.ACTIVE:
                raise
            logger.error("No songs are encoded for release %s: %s", release.name, error)
            return False
        return bool(SONGS.timed(partial(encode_songs, loaded)))


def is_limited() -> bool:
    """Return True when songs wait only for the rate limit of their release, and only for a short time."""
    soon = Now() + timedelta(seconds=config().RECONCILE_SECONDS)
    releases = live_releases().filter(encode_after__gt=Now(), encode_after__lte=soon, paused=False)
    return claimable(SongEmbedding.objects.filter(release__in=releases)).exists()
