"""Work off what the rows hold, people first: a photo never waits for more than one small batch of the catalogue's.

While the device computes one batch of posts, the photos of the next are decoded, and the one before is ranked and
written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import cache, partial

from celery.worker import state as worker_state
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.db.models.functions import Now

from recommender.release import ReleaseError
from socialsongs.conf import config
from socialsongs.models import ModelRelease, SongEmbedding
from socialsongs.selectors.releases import live_releases, searchable

from ..figures import FIGURES
from ..inference.loading import model_of
from ..inference.serving import Serving, serving
from .claim import claimable
from .posts import PostBatch, conclude, give_up, look_at, take_posts
from .requests import do_requests
from .songs import do_songs

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05  # between looks at the interactive rows while a rate limit holds the bulk lane


class Pace:
    """How many rows of the bulk lane make up about BULK_MILLISECONDS, as measured."""

    def __init__(self, rows: float) -> None:
        self.rows = rows  # a first guess

    def timed(self, work: Callable[..., int]) -> int:
        began = time.perf_counter()
        done = work(limit=min(config().BULK_BATCH, max(1, round(self.rows))))
        if done:
            fitting = done * config().BULK_MILLISECONDS / 1000 / (time.perf_counter() - began)
            self.rows = min(fitting, 2 * self.rows, config().BULK_BATCH)
        return done


# The first songs of an empty catalogue are enough to choose from for the posts that wait for them.
SONGS, REQUESTS = Pace(16), Pace(1)


def drain(*, bulk: bool) -> bool:
    """Until nothing is left, the budget is used up or the worker is asked to stop; True when work was left.

    Raises ReleaseError when this process cannot load the active release; nothing is taken then.
    """
    loop = Loop()
    try:
        try:
            return loop.run(bulk=bulk)
        finally:
            with FIGURES.turn():
                loop.leave()
    except (OperationalError, InterfaceError) as error:
        logger.error("The database is away: %s. The reconciler asks again.", error)
        connection.close()
        return False


@cache
def _behind() -> ThreadPoolExecutor:
    """One thread, with a database connection of its own."""
    return ThreadPoolExecutor(1, thread_name_prefix="behind")


def _conclude_behind(batch: PostBatch) -> None:
    close_old_connections()  # as Celery does it on the main thread
    conclude(batch)


class Loop:
    def __init__(self) -> None:
        self.deadline = time.monotonic() + config().TASK_BUDGET_SECONDS
        self.ahead: PostBatch | None = None
        self.behind: Future[None] | None = None

    def run(self, *, bulk: bool) -> bool:
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
        try:
            self._catch_up()
        finally:
            if self.ahead:
                give_up(self.ahead)

    def _over(self) -> bool:
        asked = (worker_state.should_stop, worker_state.should_terminate)  # an exit code, which may be 0
        return time.monotonic() > self.deadline or any(code is not None and code is not False for code in asked)

    def _interactive(self) -> bool:
        """One batch of posts and one of requests; False when there was nothing."""
        served = serving()
        if served is None:
            logger.warning("No release is active: posts wait. Register one with `manage.py releases register`.")
            return False
        FIGURES.release = served.active.release.name
        if not searchable(release=served.active.release):
            return False  # the first songs are being read: the reconciler asks again
        posts = self._posts(served)
        return bool(do_requests(served, limit=config().INTERACTIVE_BATCH)) or posts

    def _posts(self, served: Serving) -> bool:
        batch, self.ahead = self.ahead, None
        if batch and batch.serving != served:  # decoded for another
            give_up(batch)
            batch = None
        batch = batch or take_posts(served)
        if batch is None:
            return False
        try:
            if batch.claim.tried_before:  # what may kill the process takes no others along
                self._catch_up()
            else:
                self.ahead = take_posts(served, fresh=True)
            look_at(batch)
        except (OperationalError, InterfaceError):
            give_up(batch)
            raise
        try:
            self._catch_up()
        except BaseException:  # of the batch before
            give_up(batch)
            raise
        if self.ahead:
            self.behind = _behind().submit(_conclude_behind, batch)
        else:
            conclude(batch)
        return True

    def _catch_up(self) -> None:
        """Until the batch before is written. Raises what went wrong with it."""
        behind, self.behind = self.behind, None
        if behind:
            behind.result()

    def _bulk(self) -> bool:
        """One batch: the active release's songs, then requests that nobody waits for, then staged releases' songs."""
        served = serving()
        active = served.active.release if served else None
        if active and self._songs(active):
            return True
        if served and REQUESTS.timed(partial(do_requests, served, bulk=True)):
            return True
        return any(self._songs(release) for release in live_releases() if release != active)

    def _songs(self, release: ModelRelease) -> bool:
        limited = release.encode_after and live_releases().filter(pk=release.pk, encode_after__gt=Now()).exists()
        if release.paused or limited:
            return False
        try:
            model = model_of(release)
        except ReleaseError as error:
            if release.state == ModelRelease.State.ACTIVE:
                raise
            logger.error("No songs are read for %s: %s", release.name, error)
            return False
        return bool(SONGS.timed(partial(do_songs, model, release)))


def is_limited() -> bool:
    """Do songs wait for nothing but their release's rate limit, and not for long?"""
    soon = Now() + timedelta(seconds=config().RECONCILE_SECONDS)
    releases = live_releases().filter(encode_after__gt=Now(), encode_after__lte=soon, paused=False)
    return claimable(SongEmbedding.objects.filter(release__in=releases)).exists()
