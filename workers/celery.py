"""The Celery app. Messages only wake workers up; the rows say what there is to do."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socialsongs.site.settings")

from django.conf import settings

from socialsongs.conf import config
from socialsongs.dispatch import KEY_PREFIX, QUEUES, RECONCILE

PREFIX = {"global_keyprefix": KEY_PREFIX}  # or the site's messages would not be found
app = Celery("socialsongs")


@app.on_configure.connect
def _configure(sender: Celery, **_: object) -> None:
    """CELERY_... of Django's settings go before ours."""
    keys = [key for key in dir(settings) if key.startswith("CELERY_")]
    given = {key.removeprefix("CELERY_").lower(): getattr(settings, key) for key in keys}
    ours = _ours()
    options = ours["broker_transport_options"] | given.pop("broker_transport_options", {}) | PREFIX
    sender.conf.update(ours | given | {"broker_transport_options": options})


def _ours() -> dict[str, Any]:
    limits = config()
    return {
        "broker_url": limits.BROKER_URL,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives its broker
        "broker_channel_error_retry": True,  # one that is full or read-only, too
        "broker_transport_options": {"visibility_timeout": limits.VISIBILITY_TIMEOUT_SECONDS},
        # A message that is lost or comes twice does no harm, so it is only taken off when its work is done.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        # Whoever can write to the broker can say that there is work, and no more: no pickles, and see below.
        "accept_content": ["json"],
        "task_serializer": "json",
        "worker_prefetch_multiplier": 1,
        # One process for each device, which never forks: a fork after a forward pass hangs.
        "worker_pool": "solo",
        "worker_concurrency": 1,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_routes": {name: {"queue": queue} for name, queue in QUEUES.items()},
        "beat_schedule": {
            "reconcile": {
                "task": RECONCILE,
                "schedule": limits.RECONCILE_SECONDS,
                "options": {"expires": limits.RECONCILE_SECONDS * 2},
            }
        },
        "timezone": settings.TIME_ZONE,
    }


@worker_init.connect
def _take_no_commands(**_: object) -> None:
    """The channel for commands stays: without it (worker_enable_remote_control) a worker whose Redis died during a task
    never notices, and takes nothing any more. There is no command that it would carry out."""
    from celery.worker.control import Panel

    Panel.data.clear()


app.autodiscover_tasks(["workers.process"])
