"""Starts a worker process, on the plugin's own Celery app or on the host's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery._state import get_current_app
from celery.app.task import Task
from celery.fixups.django import fixup
from celery.utils.nodenames import default_nodename, host_format

from socialsongs.broker import MAINTENANCE, OwnCelery, celery_app, queue, queue_name, straight_to
from socialsongs.conf import config
from socialsongs.dispatch import LANE_OF, RECONCILE

from . import tasks

# What the project promises about its work, whatever the app's settings say.
PROMISES: dict[str, Any] = {
    # Somebody who can write to the broker can send wake-ups only: no pickles.
    "accept_content": ["json"],
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # With the channel off, a worker whose Redis died during a task never reconnects. ``run`` removes the commands.
    "worker_enable_remote_control": True,
    "worker_autoscaler": None,
    "worker_direct": False,
}
TASK_OPTIONS: dict[str, Any] = {
    "base": Task,  # not that of the host's app
    "shared": False,
    # A message is acknowledged when its work is done. A lost or repeated message does no harm.
    "acks_late": True,
    "reject_on_worker_lost": True,
    "ignore_result": True,
    "serializer": "json",
    "rate_limit": 0,  # none, also when the host's app has a default
}


def install(app: Celery) -> None:
    """Register the tasks on ``app``, each with the queue of its lane, and the reconciler's schedule."""
    for name, work in tasks.TASKS.items():
        app.task(**TASK_OPTIONS | {"name": name} | straight_to(LANE_OF[name]))(work)
    seconds = config().RECONCILE_SECONDS
    app.add_periodic_task(
        seconds, app.signature(RECONCILE), name=RECONCILE, expires=seconds * 2, exchange_type="direct"
    )


def run(lanes: Sequence[str], *, name: str, loglevel: str) -> int:
    """Run a worker that consumes the queues of ``lanes`` until it is told to stop; return its exit code.

    On the plugin's own app, a worker of the maintenance lane also runs the beat that calls the reconciler; on a host's
    app the host's beat does.
    """
    from celery.worker.control import Panel

    app = celery_app()
    own = isinstance(app, OwnCelery)
    hosts = get_current_app()
    if own:
        fixup(app)  # closes database connections around tasks
        install(app)  # on a host's app the app config has done so
    app.conf.update(PROMISES)
    Panel.data.clear()  # no command of the remote control: who can write to the broker can send wake-ups only
    for lane in lanes:
        app.amqp.queues.add(queue(lane))
    worker = app.Worker(
        hostname=host_format(default_nodename(name)),
        # One process for each device. It never forks: a process forked after a pass hangs.
        pool_cls="solo",
        concurrency=1,
        prefetch_multiplier=1,
        queues=[queue_name(lane) for lane in lanes],
        loglevel=loglevel,
        without_mingle=True,  # workers need no messages from each other: they read the rows
        without_gossip=True,
        beat=own and MAINTENANCE in lanes,
        scheduler="celery.beat:Scheduler",  # keeps no file: the one entry is due every few seconds
    )
    # Celery has made ``app`` the current one. Shared tasks that code of the host sends from here, as from its receivers
    # of our signals, belong on the host's own.
    hosts.set_current()
    hosts.set_default()
    worker.start()
    return int(worker.exitcode or 0)
