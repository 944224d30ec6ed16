"""System checks of the workers' settings; a worker that starts checks its own options in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from socialsongs.broker import celery_app
from socialsongs.conf import config
from socialsongs.database import connection, writer
from socialsongs.models import WakeUpSender, Worker
from socialsongs.selectors.workers import deafness, live_workers, unheard_senders


@register()
def host_app(**_: Any) -> list[CheckMessage]:
    """Check the host's Celery app, where it carries our work."""
    try:
        limits = config()
    except ImproperlyConfigured:
        return []  # has a check of its own
    if not limits.CELERY_APP:
        return []
    try:
        app = celery_app()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="socialsongs.E020")]
    errors: list[CheckMessage] = []
    if not {"json", "application/json"} & set(app.conf.accept_content):
        errors.append(
            Error(
                f"The Celery app {limits.CELERY_APP} accepts {', '.join(app.conf.accept_content)}: wake-ups are JSON.",
                hint="Add 'json' to its accept_content; a worker of the plugin accepts nothing else.",
                id="socialsongs.E021",
            )
        )
    timeout = app.conf.broker_transport_options.get("visibility_timeout")
    if timeout is not None and timeout <= limits.TASK_BUDGET_SECONDS * 2:
        errors.append(
            Error(
                f"The Celery app {limits.CELERY_APP} has a visibility timeout of {timeout} s: "
                "SOCIALSONGS['TASK_BUDGET_SECONDS'] must be less than half of it.",
                hint="When a task outlasts the visibility timeout, the broker gives it to a second worker as well.",
                id="socialsongs.E022",
            )
        )
    if app.conf.task_always_eager:
        errors.append(
            Warning(
                f"The Celery app {limits.CELERY_APP} runs tasks at once (task_always_eager).",
                hint="That does not hold for wake-ups: they are sent, and a worker does the work.",
                id="socialsongs.W023",
            )
        )
    return errors


def pool_errors(pool: str, concurrency: int | None) -> list[CheckMessage]:
    """Return the errors in the pool options of a worker that consumes the inference queues."""
    errors: list[CheckMessage] = []
    if pool != "solo":
        errors.append(
            Error(
                f"The inference queues cannot be consumed by a {pool!r} pool.",
                hint="A process that is forked after a pass of the network hangs, and each device needs one thread: "
                "start it with `manage.py socialsongs_worker`, or with `-P solo`.",
                id="socialsongs.E005",
            )
        )
    if concurrency and concurrency > 1 and pool != "solo":  # a solo pool ignores the concurrency
        errors.append(
            Error(
                f"A concurrency of {concurrency} would share one device.",
                hint="One inference process keeps a device busy by working in batches: use `-c 1`, and start one "
                "process for each GPU.",
                id="socialsongs.E006",
            )
        )
    return errors


@register(Tags.database)
def workers_hear_wake_ups(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if writer() not in (databases or ()) or not _has_table(WakeUpSender):
        return []
    try:
        problems = [*(deafness(worker) for worker in live_workers()), *unheard_senders()]
    except ImproperlyConfigured:
        return []  # settings that are wrong have a check of their own
    return [
        Warning(text, hint="Until then its work waits for the reconciler.", id="socialsongs.W024")
        for text in problems
        if text
    ]


@register(Tags.database)
def one_process_per_gpu(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if writer() not in (databases or ()) or not _has_table(Worker):
        return []
    by_device: dict[tuple[str, str], list[Worker]] = {}
    for worker in live_workers().filter(device__startswith="cuda").only("name", "host", "device"):
        by_device.setdefault((worker.host, worker.device), []).append(worker)
    return [
        Error(
            f"{device} of {host} is shared by {', '.join(worker.name for worker in workers)}.",
            hint="Stop all but one of them, or give each a device of its own with SOCIALSONGS_DEVICE.",
            id="socialsongs.E007",
        )
        for (host, device), workers in by_device.items()
        if len(workers) > 1
    ]


def _has_table(model: type[Model]) -> bool:
    """Whether the table exists yet: `migrate` runs these checks before it makes or changes tables."""
    return model._meta.db_table in connection().introspection.table_names()
