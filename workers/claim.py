"""Leases on rows. All clocks are the database's; whoever holds no valid token writes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from socialsongs.conf import config
from socialsongs.models import Claimable, State

Row = TypeVar("Row", bound=Claimable)

EXHAUSTED = "attempts_exhausted"


class LeaseLost(Exception):
    """Somebody else has the row by now: the result is not written."""


@dataclass(frozen=True)
class Claim(Generic[Row]):
    token: uuid.UUID
    rows: list[Row]


def claimable(queryset: QuerySet[Row]) -> QuerySet[Row]:
    """Queued rows whose time has come, and rows whose worker let its lease run out."""
    waiting = Q(state=State.QUEUED, queued_at__lte=Now())
    abandoned = Q(state=State.ANALYSING, lease_expires_at__lt=Now())
    return queryset.filter(waiting | abandoned)


def claim(queryset: QuerySet[Row], *, limit: int) -> Claim[Row]:
    """Take up to ``limit`` rows, oldest first, past those that others are taking at this moment.

    The attempt is counted here, so that a process that dies over a row has used one up. A row that was tried before is
    taken alone: one that kills its process takes no other with it twice.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        candidates = claimable(queryset).filter(attempts__lt=config().MAX_ATTEMPTS).order_by("queued_at")
        free = candidates.select_for_update(skip_locked=True, of=("self",))
        oldest = list(free.values_list("pk", "attempts")[:1])
        if oldest and oldest[0][1] == 0:
            keys = list(free.filter(attempts=0).values_list("pk", flat=True)[:limit])
        else:
            keys = [key for key, _ in oldest]
        queryset.model._default_manager.filter(pk__in=keys).update(
            state=State.ANALYSING,
            attempts=F("attempts") + 1,
            lease_token=token,
            lease_expires_at=Now() + timedelta(seconds=config().LEASE_SECONDS),
        )
    return Claim(token, list(queryset.filter(pk__in=keys, lease_token=token).order_by("queued_at")))


def fail_exhausted(queryset: QuerySet[Any]) -> int:
    """Rows that used up their attempts without an answer; returns how many."""
    return (
        claimable(queryset)
        .filter(attempts__gte=config().MAX_ATTEMPTS)
        .update(state=State.FAILED, reason=EXHAUSTED, lease_token=None, lease_expires_at=None, finished_at=Now())
    )


@contextmanager
def holding(row: Claimable, token: uuid.UUID) -> Iterator[None]:
    """One transaction in which the row stays ours. Raises LeaseLost when it is not."""
    with transaction.atomic():
        held = type(row)._default_manager.select_for_update(of=("self",)).filter(pk=row.pk, lease_token=token)
        if not held.exists():
            raise LeaseLost(f"{type(row).__name__} {row.pk} is no longer ours")
        yield


def finish(row: Claimable, *, state: State = State.READY, reason: str = "", **values: Any) -> None:
    """Write the end of a row's work; inside ``holding``."""
    type(row)._default_manager.filter(pk=row.pk).update(
        state=state, reason=reason, lease_token=None, lease_expires_at=None, finished_at=Now(), **values
    )


def put_back(row: Claimable, token: uuid.UUID, *, counted: bool = True) -> None:
    """Give a row up for a later try, after 2, 4, 8 ... seconds; the last allowed attempt fails it.

    ``counted=False``: it was nobody's fault, the attempt does not count.
    """
    rows = type(row)._default_manager.filter(pk=row.pk, lease_token=token)
    if counted and row.attempts >= config().MAX_ATTEMPTS:
        rows.update(state=State.FAILED, reason=EXHAUSTED, lease_token=None, lease_expires_at=None, finished_at=Now())
        return
    rows.update(
        state=State.QUEUED,
        lease_token=None,
        lease_expires_at=None,
        queued_at=Now() + timedelta(seconds=2**row.attempts if counted else 1),
        attempts=F("attempts") - (0 if counted else 1),
    )
