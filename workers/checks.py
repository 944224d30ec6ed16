"""System checks of the workers' settings; a worker that starts checks its own options in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from socialsongs.database import connection, writer
from socialsongs.models import Worker
from socialsongs.selectors.workers import live_workers


@register()
def pool(**_: Any) -> list[CheckMessage]:
    from .celery import app

    return pool_errors(app.conf.worker_pool, app.conf.worker_concurrency)


def pool_errors(pool: str, concurrency: int | None) -> list[CheckMessage]:
    """Return the errors in the pool options of a worker that consumes the inference queues."""
    errors: list[CheckMessage] = []
    if pool != "solo":
        errors.append(
            Error(
                f"The inference queues cannot be consumed by a {pool!r} pool.",
                hint="A process that is forked after a pass of the network hangs, and each device needs one thread: "
                "use `-P solo` (CELERY_WORKER_POOL = 'solo').",
                id="socialsongs.E005",
            )
        )
    if concurrency and concurrency > 1 and pool != "solo":  # a solo pool ignores the concurrency
        errors.append(
            Error(
                f"A concurrency of {concurrency} would share one device.",
                hint="One inference process keeps a device busy by working in batches: use `-c 1` "
                "(CELERY_WORKER_CONCURRENCY = 1), and start one process for each GPU.",
                id="socialsongs.E006",
            )
        )
    return errors


@register(Tags.database)
def one_process_per_gpu(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    if writer() not in (databases or ()) or Worker._meta.db_table not in connection().introspection.table_names():
        return []
    by_device: dict[tuple[str, str], list[Worker]] = {}
    for worker in live_workers().filter(device__startswith="cuda"):
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
