"""Work off what the rows hold, people first: a photo never waits for more than one small batch of songs."""

from __future__ import annotations

import logging
import time

from celery.worker import state as worker_state

from socialsongs.conf import config
from socialsongs.models import ModelRelease
from socialsongs.selectors.catalogue import active_release, searchable

from .engine import model_of
from .photos import do_posts, do_requests
from .songs import do_songs

logger = logging.getLogger(__name__)


def drain(*, bulk: bool) -> bool:
    """Until nothing is left, the budget is used up or the worker is asked to stop; True when work was left."""
    deadline = time.monotonic() + config().TASK_BUDGET_SECONDS
    while True:
        if time.monotonic() > deadline or worker_state.should_stop or worker_state.should_terminate:
            return True
        if not (do_interactive() or (bulk and do_bulk())):
            return False


def do_interactive() -> int:
    """One batch of posts and one of requests; returns how many rows were taken."""
    release = active_release()
    if release is None:
        logger.warning("No release is active: posts wait. Register one with `manage.py releases register`.")
        return 0
    if not searchable(release=release):
        return 0  # the first songs are being read: the reconciler asks again
    model = model_of(release)
    return do_posts(model, release) + do_requests(model, release)


def do_bulk() -> int:
    """One batch of songs, the active release's before those of a release that is being prepared."""
    live = ModelRelease.objects.filter(state__in=[ModelRelease.State.ACTIVE, ModelRelease.State.STAGED])
    for release in live.order_by("state", "-created_at"):  # "active" sorts before "staged"
        if done := do_songs(model_of(release), release):
            return done
    return 0
