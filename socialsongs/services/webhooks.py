"""Endpoints of webhooks, and which events they get."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import dispatch
from ..database import atomic
from ..errors import EndpointDisabled, TooManyEndpoints
from ..models import ApiClient, Event, ExternalUser, WebhookDelivery, WebhookEndpoint
from ..selectors.events import serving_endpoints
from ..signals import BY_KIND
from ..webhooks.sending import target_of
from ..webhooks.signing import new_salt, secret_text

logger = logging.getLogger(__name__)

FAN_OUT = 500  # events of one transaction
KEEP_OLD_SECRET, KEEP_AT_MOST = timedelta(hours=24), timedelta(days=30)
MOST_ENDPOINTS = 20  # of one client
DISABLED = gettext_lazy("The endpoint is disabled. Enable it first.")
# A delivery as if it had never been attempted.
QUEUED_ANEW: dict[str, Any] = {
    "state": WebhookDelivery.State.WAITING,
    "attempts": 0,
    "queued_at": Now(),
    "next_at": Now(),
    "status_code": None,
    "error": "",
    "finished_at": None,
}


# Endpoints


def add_endpoint(
    *, url: str, client: ApiClient | None = None, kinds: Collection[str] = (), description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and send it a ping, which is repeated until the endpoint knows its secret and answers; return it
    and its secret, which is shown only now.

    ``client``: whose people it hears of; None: of everybody. ``kinds``: none for all. Raises BadWebhookUrl or
    TooManyEndpoints.
    """
    target_of(url)
    with atomic():
        if client is not None:
            ApiClient.objects.select_for_update().get(pk=client.pk)
        check_room(client=client)
        endpoint = WebhookEndpoint.objects.create(
            url=url, client=client, kinds=sorted(set(kinds)), description=description, salt=new_salt()
        )
        ping(endpoint=endpoint)
    return endpoint, secret_text(endpoint.salt)


def check_room(*, client: ApiClient | None) -> None:
    """Raise TooManyEndpoints when the client has as many endpoints as it may have."""
    if client is not None and client.webhook_endpoints.count() >= MOST_ENDPOINTS:
        raise TooManyEndpoints(
            _("This client has %(most)s endpoints already. Delete one that it no longer needs.")
            % {"most": MOST_ENDPOINTS}
        )


def change_endpoint(
    *,
    endpoint: WebhookEndpoint,
    url: str | None = None,
    kinds: Collection[str] | None = None,
    description: str | None = None,
    active: bool | None = None,
) -> None:
    """Change what is given. A new address, or one that is enabled again, is verified anew. Raises BadWebhookUrl."""
    changed: dict[str, Any] = {} if description is None else {"description": description}
    if kinds is not None:
        changed["kinds"] = sorted(set(kinds))
    if is_new := url is not None and url != endpoint.url:
        target_of(str(url))
        changed |= {"url": url, "verified_at": None}
    with atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**changed)
        endpoint.refresh_from_db()
        if active is False:
            disable_endpoint(endpoint=endpoint, reason="Its client disabled it.")
        elif active is True and not endpoint.active:
            enable_endpoint(endpoint=endpoint)
        elif is_new and endpoint.active:
            ping(endpoint=endpoint)
    endpoint.refresh_from_db()


def test_endpoint(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send a ping, or let the one that waits be sent at once. Raises EndpointDisabled."""
    if not endpoint.active:
        raise EndpointDisabled(DISABLED)
    with atomic():
        waiting = endpoint.deliveries.filter(event__kind=Event.Kind.PING, state=WebhookDelivery.State.WAITING).first()
        if waiting is None:
            return ping(endpoint=endpoint)
        WebhookDelivery.objects.filter(pk=waiting.pk).update(next_at=Now())
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(resume_at=None)
        dispatch.announce_events()
    waiting.refresh_from_db()
    return waiting


def ping(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send a ping: an endpoint that returns its challenge counts as verified."""
    with atomic():
        event = Event.objects.create(
            kind=Event.Kind.PING, challenge=secrets.token_urlsafe(24), fanned_out=True, state=Event.State.SENT
        )
        delivery = WebhookDelivery.objects.create(event=event, endpoint=endpoint)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(resume_at=None)
        dispatch.announce_events()
    return delivery


def rotate_secret(*, endpoint: WebhookEndpoint, keep: timedelta = KEEP_OLD_SECRET) -> str:
    """Return a new secret, which is shown only now; for as long as ``keep`` the old one signs webhooks, too."""
    salt = new_salt()
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(  # one statement: of two at once, neither loses the other's
        salt=salt, previous_salt=F("salt"), previous_until=Now() + keep
    )
    endpoint.refresh_from_db()
    return secret_text(salt)


def disable_endpoint(*, endpoint: WebhookEndpoint, reason: str) -> None:
    """Send it nothing more; its waiting deliveries fail, and can be replayed when it is enabled again."""
    logger.error("The endpoint %s gets no webhooks any more: %s", endpoint.url, reason)
    with atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(active=False, disabled_reason=reason[:200])
        WebhookDelivery.objects.filter(endpoint=endpoint, state=WebhookDelivery.State.WAITING).update(
            state=WebhookDelivery.State.FAILED, error="The endpoint was disabled.", finished_at=Now()
        )
    endpoint.refresh_from_db()


def enable_endpoint(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Enable it again: it is verified anew, by a ping."""
    with atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
            active=True, disabled_reason="", verified_at=None, failing_since=None, failures=0, resume_at=None
        )
        delivery = ping(endpoint=endpoint)
    endpoint.refresh_from_db()
    return delivery


# Deliveries


def fan_out() -> None:
    """Make a delivery of each new event to each endpoint that wants it, and finish events that no receiver hears."""
    while _fan_out_some() == FAN_OUT:
        pass


def _fan_out_some() -> int:
    with atomic():
        waiting = Event.objects.filter(fanned_out=False).order_by("created_at").select_related("post", "request")
        new = list(waiting.select_for_update(skip_locked=True, of=("self",))[:FAN_OUT])
        _make_deliveries(new, serving_endpoints().filter(verified_at__isnull=False))
        unheard = [event.pk for event in new if not BY_KIND[event.kind].receivers]
        Event.objects.filter(pk__in=[event.pk for event in new]).update(fanned_out=True)
        Event.objects.filter(pk__in=unheard).update(state=Event.State.SENT)
    return len(new)


def _make_deliveries(events: Sequence[Event], endpoints: QuerySet[WebhookEndpoint]) -> None:
    wanted = list(endpoints)
    owners = {event.pk: of.owner_id for event in events if (of := event.post or event.request)}
    clients = set[tuple[object, UUID]]()
    if any(endpoint.client_id for endpoint in wanted):
        people = ExternalUser.objects.filter(user__in=set(owners.values()))
        clients = set(people.values_list("user", "client"))
    WebhookDelivery.objects.bulk_create(
        (
            WebhookDelivery(event=event, endpoint=endpoint)
            for event in events
            for endpoint in wanted
            if not endpoint.kinds or event.kind in endpoint.kinds
            if endpoint.client_id is None or (owners.get(event.pk), endpoint.client_id) in clients
        ),
        ignore_conflicts=True,
    )


def replay(*, endpoint: WebhookEndpoint, since: datetime | None = None, event: UUID | None = None) -> int:
    """Send events again, under their old ids: those since a time, or a single one. Return how many.

    Those that the endpoint has not got yet are sent, too, if it wants their kind. Raises EndpointDisabled.
    """
    if not endpoint.active:
        raise EndpointDisabled(DISABLED)
    events = Event.objects.exclude(kind=Event.Kind.PING).filter(fanned_out=True).order_by("created_at")
    events = events.filter(pk=event) if event else events.filter(created_at__gte=since)
    if endpoint.client is not None:
        people = ExternalUser.objects.filter(client=endpoint.client).values("user")
        events = events.filter(Q(post__owner__in=people) | Q(request__owner__in=people))
    keys = list(events.values_list("pk", flat=True))
    count = 0
    for start in range(0, len(keys), FAN_OUT):
        with atomic():
            some = Event.objects.filter(pk__in=keys[start : start + FAN_OUT]).select_related("post", "request")
            _make_deliveries(list(some), WebhookEndpoint.objects.filter(pk=endpoint.pk))
            count += WebhookDelivery.objects.filter(endpoint=endpoint, event__in=some).update(**QUEUED_ANEW)
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(resume_at=None)
            dispatch.announce_events()
    return count


def retry_deliveries(*, deliveries: QuerySet[WebhookDelivery]) -> int:
    """Queue deliveries that failed, to endpoints that are active; return how many."""
    failed = deliveries.filter(state=WebhookDelivery.State.FAILED, endpoint__active=True)
    with atomic():
        count = WebhookDelivery.objects.filter(pk__in=failed.values("pk")).update(**QUEUED_ANEW)
        if count:
            dispatch.announce_events()
    return count


def send_signals_again(*, events: QuerySet[Event]) -> int:
    """Queue signals whose receivers failed to the end; return how many."""
    failed = events.filter(state=Event.State.FAILED)
    with atomic():
        count = Event.objects.filter(pk__in=failed.values("pk")).update(
            state=Event.State.WAITING, attempts=0, next_at=Now(), error=""
        )
        if count:
            dispatch.announce_events()
    return count


def delete_old_events(*, older_than: timedelta, most: int = 5000) -> int:
    """Delete events that nobody is to hear of any more, with their deliveries; return how many."""
    old = Event.objects.filter(created_at__lt=Now() - older_than, fanned_out=True).order_by("created_at")
    waiting = Q(state=Event.State.WAITING) | Q(deliveries__state=WebhookDelivery.State.WAITING)
    keys = list(old.exclude(waiting).values_list("pk", flat=True)[:most])
    Event.objects.filter(pk__in=keys).delete()
    return len(keys)
