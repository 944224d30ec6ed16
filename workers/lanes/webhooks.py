"""Sends webhooks: one endpoint at a time for each thread, its deliveries one after the other.

So an endpoint that is slow or away occupies one thread at most, and after a failure none for a while. An attempt is
counted before it begins, with the time of the next one, so that it counts when the process dies.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Coalesce, Now

from socialsongs import __version__
from socialsongs.conf import config
from socialsongs.database import atomic
from socialsongs.models import Event, WebhookDelivery, WebhookEndpoint
from socialsongs.selectors.events import due_deliveries, due_endpoints
from socialsongs.services.webhooks import disable_endpoint
from socialsongs.webhooks.payload import body_of
from socialsongs.webhooks.sending import EndpointAnswer, SendingFailed, send
from socialsongs.webhooks.signing import signatures

logger = logging.getLogger(__name__)

# Seconds between the attempts of a delivery; the last one repeats, for as long as RETRY_FOR.
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800)
RETRY_FOR = timedelta(days=1)
# An endpoint that fails gets nothing for 5, 10, 20 ... seconds, up to five minutes; and nothing more after three days.
ENDPOINT_PAUSE, LONGEST_ENDPOINT_PAUSE = 5.0, 300.0
DISABLE_AFTER = timedelta(days=3)
LONGEST_RETRY_AFTER = 3600  # seconds for which an answer may ask
TURN_SECONDS = 10.0  # then other endpoints come first
GONE = 410


def deliver_to_one(others: Callable[[], None], stopping: Callable[[], bool]) -> bool:
    """Send what is due to the endpoint that has waited longest; return False when nothing is due.

    ``others`` is called when there was one: there may be more, for another thread. ``stopping``: begin no more.
    """
    endpoint = _claim()
    if endpoint is None:
        return False
    others()
    try:
        end = time.monotonic() + TURN_SECONDS
        while time.monotonic() < end and not stopping():
            due = due_deliveries().filter(endpoint=endpoint).select_related("event__post__subject", "event__request")
            delivery = due.order_by("next_at").first()
            endpoint.refresh_from_db(fields=["url", "active"])  # its client may have changed them meanwhile
            if delivery is None or not endpoint.active or not _deliver(endpoint, delivery):
                break
    finally:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(lease_expires_at=None)
    return True


def _claim() -> WebhookEndpoint | None:
    with atomic():
        waited = due_endpoints().order_by(F("attempted_at").asc(nulls_first=True))
        endpoint = waited.select_for_update(skip_locked=True, of=("self",)).first()
        if endpoint is not None:
            # A turn, its last request, and a name server that does not answer.
            lease = timedelta(seconds=TURN_SECONDS + config().WEBHOOK_SECONDS + 60)
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(attempted_at=Now(), lease_expires_at=Now() + lease)
    return endpoint


def _deliver(endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> bool:
    """Send one delivery and write what came of it; return whether the endpoint took it."""
    pause = PAUSES[min(delivery.attempts, len(PAUSES) - 1)] * random.uniform(0.8, 1.2)
    row = WebhookDelivery.objects.filter(pk=delivery.pk)
    row.update(attempts=F("attempts") + 1, next_at=Now() + timedelta(seconds=pause))
    answer, problem = _send(endpoint, delivery.event)
    if not problem:
        _succeeded(endpoint, delivery, answer)
        return True
    logger.warning("Event %s did not reach %s: %s", delivery.event_id, endpoint.url, problem)
    asked = min(answer.retry_after, LONGEST_RETRY_AFTER) if answer else 0
    with atomic():
        row.update(
            next_at=Now() + timedelta(seconds=max(pause, asked)),
            status_code=answer.status if answer else None,
            error=problem[:500],
        )
        row.filter(queued_at__lt=Now() - RETRY_FOR).update(state=WebhookDelivery.State.FAILED, finished_at=Now())
        has_same_address = _failed(endpoint, asked)
    if not has_same_address:
        return False
    if answer and answer.status == GONE:
        disable_endpoint(endpoint=endpoint, reason="It answered 410 Gone.")
    elif WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__lt=Now() - DISABLE_AFTER).exists():
        disable_endpoint(endpoint=endpoint, reason=f"Nothing reached it for {DISABLE_AFTER.days} days: {problem}")
    return False


def _send(endpoint: WebhookEndpoint, event: Event) -> tuple[EndpointAnswer | None, str]:
    """Return the answer, if there was one, and what was wrong, if anything was."""
    body, timestamp = body_of(event, client=endpoint.client), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"SocialSongs/{__version__}",
        "Connection": "close",
        "webhook-id": str(event.pk),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(_valid_salts(endpoint), event_id=str(event.pk), timestamp=timestamp, body=body),
    }
    try:
        answer = send(endpoint.url, body, headers, read=event.kind == Event.Kind.PING)
    except SendingFailed as error:
        return None, str(error)
    if 300 <= answer.status < 400:
        return answer, f"It answered {answer.status}; redirects are not followed."
    if not 200 <= answer.status < 300:
        return answer, f"It answered {answer.status}."
    if event.kind == Event.Kind.PING and not _echoes(answer.body, event.challenge):
        return answer, "It answered the ping without its challenge."
    return answer, ""


def _valid_salts(endpoint: WebhookEndpoint) -> list[str]:
    """Return the salt, and the previous one for as long as it is valid."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    salts = list(row.values_list("salt", flat=True))
    return salts + list(row.filter(previous_until__gt=Now()).values_list("previous_salt", flat=True))


def _echoes(body: bytes, challenge: str) -> bool:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("challenge") == challenge


def _succeeded(endpoint: WebhookEndpoint, delivery: WebhookDelivery, answer: EndpointAnswer | None) -> None:
    with atomic():
        WebhookDelivery.objects.filter(pk=delivery.pk).update(
            state=WebhookDelivery.State.DELIVERED,
            finished_at=Now(),
            error="",
            status_code=answer.status if answer else None,
        )
        well = WebhookEndpoint.objects.filter(pk=endpoint.pk, url=endpoint.url)
        well.update(failing_since=None, failures=0, resume_at=None)
        if delivery.event.kind == Event.Kind.PING:
            well.update(verified_at=Coalesce("verified_at", Now()))


def _failed(endpoint: WebhookEndpoint, asked: int) -> bool:
    """Let the endpoint pause; return False, and let it be, when it has another address by now."""
    row = WebhookEndpoint.objects.filter(pk=endpoint.pk, url=endpoint.url)
    failures = row.values_list("failures", flat=True).first() or 0
    pause = min(ENDPOINT_PAUSE * 2.0 ** min(failures, 10), LONGEST_ENDPOINT_PAUSE) * random.uniform(0.8, 1.2)
    updated = row.update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", Now()),
        resume_at=Now() + timedelta(seconds=max(pause, asked)),
    )
    return updated > 0
