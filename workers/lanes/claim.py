"""Claims on rows, with leases. All times are by the database's clock; a result is written only under a valid token.

A row leaves a claim in one of four ways: ``finish``; ``put_back`` (it failed, the attempt counts); ``delay`` (something
outside failed, the attempt does not count); ``hand_back`` (nothing happened). If its process dies, the lease runs out.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest, Least, Now

from socialsongs.conf import config
from socialsongs.database import atomic, connection
from socialsongs.models import Claimable, Post, State
from socialsongs.services import events

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Claimable)
Item = TypeVar("Item")
Result = TypeVar("Result")

EXHAUSTED = "attempts_exhausted"
NO_LEASE = {"lease_token": None, "lease_expires_at": None}
# A delayed row waits half as long as it has been delayed so far, within these bounds.
DELAY = timedelta(seconds=2), timedelta(seconds=60)
# Seconds between the tries to write a result while the database is away.
PAUSES = (0.1, 0.5, 2.0, 4.0)


@dataclass(frozen=True)
class Claim(Generic[Row]):
    token: uuid.UUID
    rows: list[Row]

    @property
    def tried_before(self) -> bool:
        return any(row.attempts > 1 for row in self.rows)


def claimable(queryset: QuerySet[Row]) -> QuerySet[Row]:
    """Return the queued rows whose time has come, and the rows whose lease has run out."""
    waiting = Q(state=State.QUEUED, queued_at__lte=Now())
    abandoned = Q(state=State.ANALYSING, lease_expires_at__lt=Now())
    return queryset.filter(waiting | abandoned)


def claim(queryset: QuerySet[Row], *, limit: int, fresh: bool = False) -> Claim[Row]:
    """Claim up to ``limit`` rows, oldest first, without those that other workers are claiming at this moment.

    The claim counts the attempt, so that it counts when the process dies. A row with earlier attempts is claimed alone:
    if it kills its process, no other row loses an attempt. ``fresh``: claim only rows without attempts.
    """
    token = uuid.uuid4()
    with atomic():
        candidates = claimable(queryset).filter(attempts__lt=1 if fresh else config().MAX_ATTEMPTS)
        free = candidates.order_by("queued_at").select_for_update(skip_locked=True, of=("self",))
        oldest = list(free.values_list("pk", "attempts")[:limit])
        chosen = oldest[:1] if oldest and oldest[0][1] else [row for row in oldest if not row[1]]
        keys = [key for key, _ in chosen]
        if not keys:
            return Claim(token, [])
        queryset.model._default_manager.filter(pk__in=keys).update(
            state=State.ANALYSING, attempts=F("attempts") + 1, lease_token=token, lease_expires_at=_lease_end()
        )
    return Claim(token, list(queryset.filter(pk__in=keys, lease_token=token).order_by("queued_at")))


def renew(claimed: Claim[Any]) -> None:
    """Start a new lease for the rows that are still under this claim."""
    if claimed.rows:
        _rows(claimed.rows, claimed.token).update(lease_expires_at=_lease_end())


def _lease_end() -> Any:
    return Now() + timedelta(seconds=config().LEASE_SECONDS)


def _rows(rows: Sequence[Claimable], token: uuid.UUID) -> QuerySet[Claimable]:
    return type(rows[0])._default_manager.filter(pk__in=[row.pk for row in rows], lease_token=token)


def fail_exhausted(queryset: QuerySet[Any]) -> int:
    """Fail the claimable rows that have used up their attempts; return how many."""
    return _fail(claimable(queryset).filter(attempts__gte=config().MAX_ATTEMPTS), EXHAUSTED)


def _fail(queryset: QuerySet[Any], reason: str, **values: Any) -> int:
    """Fail those of the rows that nobody else has locked, and record it; return how many."""
    with atomic():
        locked = queryset.order_by("pk").select_for_update(skip_locked=True, of=("self",))
        keys = list(locked.values_list("pk", flat=True))
        queryset.model._default_manager.filter(pk__in=keys).update(
            state=State.FAILED, reason=reason, finished_at=Now(), **NO_LEASE, **values
        )
        if keys and queryset.model is Post:
            events.posts_failed(keys=keys, reason=reason)
    return len(keys)


@contextmanager
def holding(rows: Sequence[Row], token: uuid.UUID) -> Iterator[list[Row]]:
    """Open a transaction that locks the rows still under this claim, and yield them; the rest is others' or gone."""
    with atomic():
        locked = _rows(rows, token).order_by("pk").select_for_update(of=("self",))
        held = set(locked.values_list("pk", flat=True))
        if lost := len(rows) - len(held):
            logger.warning("The claim on %d of %d %s is lost", lost, len(rows), type(rows[0])._meta.verbose_name_plural)
        yield [row for row in rows if row.pk in held]


def finish(rows: Sequence[Claimable], *, state: State = State.READY, reason: str = "", **values: Any) -> None:
    """Write the final state of rows and end their claim; inside ``holding``."""
    if rows:
        type(rows[0])._default_manager.filter(pk__in=[row.pk for row in rows]).update(
            state=state, reason=reason, finished_at=Now(), delayed_since=None, **NO_LEASE, **values
        )
        if state == State.FAILED and isinstance(rows[0], Post):
            events.posts_failed(keys=[row.pk for row in rows], reason=reason)


def put_back(row: Claimable, token: uuid.UUID) -> None:
    """Queue a row for its next attempt in 2, 4, 8 ... seconds; fail it when there is no attempt left."""
    ours = _rows([row], token)
    if row.attempts >= config().MAX_ATTEMPTS:
        _fail(ours, EXHAUSTED)
    else:
        again = Now() + timedelta(seconds=2**row.attempts)
        ours.update(state=State.QUEUED, queued_at=again, delayed_since=None, **NO_LEASE)


def delay(row: Claimable, token: uuid.UUID, *, reason: str) -> None:
    """Queue a row that met an outage again, without counting the attempt; fail it after OUTAGE_SECONDS of outages."""
    ours = _rows([row], token)
    over = ours.filter(delayed_since__lt=Now() - timedelta(seconds=config().OUTAGE_SECONDS))
    if _fail(over, reason, attempts=F("attempts") - 1):
        return
    since = Coalesce(F("delayed_since"), Now())
    waits = Least(Greatest((Now() - since) / 2, Value(DELAY[0])), Value(DELAY[1]))
    ours.update(
        state=State.QUEUED, queued_at=Now() + waits, delayed_since=since, attempts=F("attempts") - 1, **NO_LEASE
    )


def hand_back(rows: Sequence[Claimable], token: uuid.UUID) -> None:
    """Queue rows again at their old position, as if they had not been claimed."""
    if rows:
        _rows(rows, token).update(state=State.QUEUED, attempts=F("attempts") - 1, **NO_LEASE)


def return_after_database_error(rows: Sequence[Claimable], token: uuid.UUID) -> None:
    """Put rows back when the database refused their work; hand them back when the database is away."""
    if connection().is_usable():
        for row in rows:
            put_back(row, token)
    else:
        through_outage(partial(hand_back, rows, token))


def in_halves(write: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> list[tuple[Item, DatabaseError]]:
    """Write all items in one transaction, or in halves when the database refuses it; return each refused item."""
    if not items:
        return []
    try:
        through_outage(partial(write, items))
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return in_halves(write, items[:middle]) + in_halves(write, items[middle:])
    return []


def through_outage(write: Callable[[], Result]) -> Result:
    """Write, and try again after each of PAUSES when the connection was cut. The claim's token prevents a second write.

    Raises OperationalError or InterfaceError when the database stays away; the leases run out then.
    """
    for pause in PAUSES:
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away, trying again in %s s: %s", pause, error)
            connection().close()
            time.sleep(pause)
    return write()
