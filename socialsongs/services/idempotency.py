"""Makes a request that is sent twice count once, by the key that its client gave it.

The key is claimed before the work begins, in a transaction of its own, so that a second request sees that the first
one runs. It is finished in the transaction that writes what the request asked for: whatever dies in between, that is
written once. A process that died loses its claim when the lease ends; one whose claim was taken over writes nothing.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import Error
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from ..database import atomic
from ..errors import IdempotencyConflict, StillRunning
from ..models import ApiClient, IdempotencyKey, Post, RecommendationRequest

if TYPE_CHECKING:
    from ..user_types import Person

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
KEPT = timedelta(days=1)
PRUNED_AT_ONCE = 10_000
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Once:
    """A request under a key; without a key (``row`` is None) it counts each time."""

    row: IdempotencyKey | None = None

    @property
    def earlier(self) -> IdempotencyKey | None:
        """The finished row of an earlier request with the same key and body; None when this is the first."""
        return self.row if self.row is not None and self.row.finished_at is not None else None

    @property
    def earlier_answer(self) -> Any:
        """What the earlier request was answered; None when this is the first."""
        return json.loads(self.earlier.answer) if self.earlier is not None and self.earlier.answer else None

    def finish(
        self, *, post: Post | None = None, request: RecommendationRequest | None = None, answer: Any = None
    ) -> None:
        """Finish the key, inside the transaction that writes what the request asked for; say what came of it.

        Raises StillRunning when the lease ended and another request took the key over.
        """
        if self.row is None:
            return
        mine = IdempotencyKey.objects.filter(pk=self.row.pk, token=self.row.token, finished_at=None)
        text = "" if answer is None else json.dumps(answer)
        if not mine.update(finished_at=Now(), post=post, request=request, answer=text):
            raise _still_running()


@contextmanager
def once(
    *, user: Person | None = None, client: ApiClient | None = None, key: str, fingerprint: str, wait: float = 0.0
) -> Iterator[Once]:
    """Claim a key for a request of a person, or of a client; ``fingerprint``: digest of what was sent. An error inside
    gives the key back.

    Raises IdempotencyConflict when the key was used for something else, and StillRunning when an earlier request has
    not finished after ``wait`` seconds.
    """
    if not key:
        yield Once()
        return
    token = uuid.uuid4()
    try:
        yield Once(_claim_within(wait, user=user, client=client, key=key, fingerprint=fingerprint, token=token))
    except BaseException:
        try:
            IdempotencyKey.objects.filter(token=token, finished_at=None).delete()
        except Error as error:  # the lease ends the claim
            logger.warning("An idempotency key could not be given back: %s", error)
        raise


def _claim_within(seconds: float, **claim: Any) -> IdempotencyKey:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _claim(**claim)
        except IdempotencyKey.DoesNotExist:  # given back by an error of the first request just now
            continue
        except StillRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _claim(
    *, user: Person | None, client: ApiClient | None, key: str, fingerprint: str, token: uuid.UUID
) -> IdempotencyKey:
    claimed: dict[str, Any] = {"token": token, "lease_expires_at": Now() + LEASE}
    with atomic():
        new = IdempotencyKey(user=user, client=client, key=key, fingerprint=fingerprint, **claimed)
        IdempotencyKey.objects.bulk_create([new], ignore_conflicts=True)
        rows = IdempotencyKey.objects.select_for_update(of=("self",)).select_related("post", "request")
        row = rows.annotate(now=Now()).get(user=user, client=client, key=key)
        if row.fingerprint != fingerprint:
            raise IdempotencyConflict(
                _("This Idempotency-Key was already used for another request. Use a new key for each new request.")
            )
        if row.finished_at is not None or row.token == token:
            return row
        if row.lease_expires_at is not None and row.lease_expires_at > row.now:
            raise _still_running()
        IdempotencyKey.objects.filter(pk=row.pk).update(**claimed)
        row.token = token
        return row


def _still_running() -> StillRunning:
    return StillRunning(_("A request with this Idempotency-Key is still running. Send it again in some seconds."))


def forget_old_keys() -> int:
    """Delete keys that are older than a day, some at once; return how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at")
    deleted, _ = IdempotencyKey.objects.filter(pk__in=old.values("pk")[:PRUNED_AT_ONCE]).delete()
    return deleted
