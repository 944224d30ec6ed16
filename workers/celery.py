"""The Celery app. Messages are wake-ups only; the rows say what work there is."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socialsongs.site.settings")

from django.conf import settings

from socialsongs.conf import config
from socialsongs.dispatch import KEY_PREFIX, QUEUES, RECONCILE

PREFIX = {"global_keyprefix": KEY_PREFIX}  # the same as where the site sends
app = Celery("socialsongs")


@app.on_configure.connect
def _configure(sender: Celery, **_: object) -> None:
    """Apply our settings, then Django's CELERY_... settings, which take precedence."""
    keys = [key for key in dir(settings) if key.startswith("CELERY_")]
    host_settings = {key.removeprefix("CELERY_").lower(): getattr(settings, key) for key in keys}
    defaults = _default_settings()
    options = defaults["broker_transport_options"] | host_settings.pop("broker_transport_options", {}) | PREFIX
    sender.conf.update(defaults | host_settings | {"broker_transport_options": options})


def _default_settings() -> dict[str, Any]:
    limits = config()
    return {
        "broker_url": limits.BROKER_URL,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # no limit: a worker waits until the broker is back
        "broker_channel_error_retry": True,  # also when the broker is full or read-only
        "broker_transport_options": {"visibility_timeout": limits.VISIBILITY_TIMEOUT_SECONDS},
        # A message is acknowledged when its work is done. A lost or repeated message does no harm.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        # Somebody who can write to the broker can send wake-ups only: no pickles, and no remote control (see below).
        "accept_content": ["json"],
        "task_serializer": "json",
        "worker_prefetch_multiplier": 1,
        # One process for each device. It never forks: a process forked after a pass hangs.
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
def _remove_remote_commands(**_: object) -> None:
    """Remove all commands of Celery's remote control, but leave its channel open.

    With the channel off (worker_enable_remote_control), a worker whose Redis died during a task never reconnects.
    """
    from celery.worker.control import Panel

    Panel.data.clear()


app.autodiscover_tasks(["workers.process"])
