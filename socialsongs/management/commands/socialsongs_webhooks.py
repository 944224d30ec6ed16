"""Endpoints of webhooks: add, list, test, rotate secrets, send events again. A secret is printed once."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from socialsongs.broker import MAINTENANCE
from socialsongs.conf import config
from socialsongs.errors import SocialSongsError
from socialsongs.models import ApiClient, Event, WebhookDelivery, WebhookEndpoint
from socialsongs.selectors.workers import lanes_without_consumer
from socialsongs.services import webhooks

KINDS = [kind for kind, _ in Event.Kind.told()]
WAIT_SECONDS = 20


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="list the endpoints")
        add = actions.add_parser("add", help="add an endpoint; its secret goes to the standard output")
        add.add_argument("url")
        add.add_argument("--client", help="name of an API client, whose people it hears of (default: everybody)")
        add.add_argument("--kinds", nargs="+", choices=KINDS, default=[], help="kinds of events (default: all)")
        add.add_argument("--description", default="")
        for name, what in {
            "test": "send a ping and wait for what comes of it; this also verifies an endpoint",
            "rotate": "make a new secret; the old one is valid for some hours more",
            "disable": "send nothing more to an endpoint",
            "enable": "send events again to an endpoint that was disabled, once it has answered a ping",
            "remove": "delete an endpoint and its deliveries",
            "replay": "send events again, under their old ids",
            "deliveries": "list the newest deliveries to an endpoint",
        }.items():
            one = actions.add_parser(name, help=what)
            one.add_argument("endpoint", type=UUID, help="its id")
            if name == "rotate":
                one.add_argument("--hours", type=int, default=24, help="how long the old secret stays valid")
            if name == "replay":
                which = one.add_mutually_exclusive_group(required=True)
                which.add_argument("--since", type=_time, help="events since this time, such as 2026-12-01T14:00Z")
                which.add_argument("--event", type=UUID, help="the event with this id")
            if name == "deliveries":
                one.add_argument("--failed", action="store_true", help="only those that failed")
                one.add_argument("--limit", type=int, default=20)

    def handle(self, *args: Any, action: str, endpoint: UUID | None = None, **options: Any) -> None:
        if endpoint is not None:
            found = WebhookEndpoint.objects.filter(pk=endpoint).first()
            if found is None:
                raise CommandError(f"There is no endpoint {endpoint}. `socialsongs_webhooks list` shows all.")
            options["endpoint"] = found
        try:
            getattr(self, f"_{action}")(**options)
            self.stdout.flush()
        except SocialSongsError as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError:  # the reader has seen enough; Python would complain again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _list(self, **_: Any) -> None:
        for endpoint in WebhookEndpoint.objects.select_related("client"):
            waiting = endpoint.deliveries.filter(state=WebhookDelivery.State.WAITING).count()
            whose = endpoint.client.name if endpoint.client else "everybody"
            line = [str(endpoint.pk), endpoint.url, whose, "+".join(endpoint.kinds) or "all kinds",
                    endpoint.describe_state(), f"{waiting} waiting"]  # fmt: skip
            self.stdout.write("\t".join(line))

    def _add(self, *, url: str, client: str | None, kinds: list[str], description: str, **_: Any) -> None:
        of = None
        if client is not None and (of := ApiClient.objects.filter(name=client).first()) is None:
            raise CommandError(f"There is no API client called {client!r}.")
        endpoint, secret = webhooks.add_endpoint(url=url, client=of, kinds=kinds, description=description)
        self.stdout.write(secret)
        self.stderr.write(
            f"Endpoint {endpoint.pk}. Store its secret where it receives: it cannot be shown again. Then run "
            f"`socialsongs_webhooks test {endpoint.pk}`, which verifies it."
        )

    def _test(self, *, endpoint: WebhookEndpoint, **_: Any) -> None:
        if not endpoint.active:
            raise CommandError("The endpoint is disabled. Enable it first: that sends a ping, too.")
        self._wait(webhooks.test_endpoint(endpoint=endpoint))

    def _rotate(self, *, endpoint: WebhookEndpoint, hours: int, **_: Any) -> None:
        most = webhooks.KEEP_AT_MOST // timedelta(hours=1)
        if not 0 <= hours <= most:
            raise CommandError(f"--hours must be from 0 (the old secret is void at once) to {most}.")
        self.stdout.write(webhooks.rotate_secret(endpoint=endpoint, keep=timedelta(hours=hours)))
        self.stderr.write(f"Store it now: it cannot be shown again. The old one is valid for {hours} hours more.")

    def _disable(self, *, endpoint: WebhookEndpoint, **_: Any) -> None:
        webhooks.disable_endpoint(endpoint=endpoint, reason="Staff disabled it.")
        self.stdout.write("It is disabled.")

    def _enable(self, *, endpoint: WebhookEndpoint, **_: Any) -> None:
        self._wait(webhooks.enable_endpoint(endpoint=endpoint))

    def _remove(self, *, endpoint: WebhookEndpoint, **_: Any) -> None:
        endpoint.delete()
        self.stdout.write("It is removed.")

    def _replay(self, *, endpoint: WebhookEndpoint, since: datetime | None, event: UUID | None, **_: Any) -> None:
        count = webhooks.replay(endpoint=endpoint, since=since, event=event)
        days = config().EVENT_RETENTION_DAYS
        self.stdout.write(f"{count} events are queued; they are kept for {days} days (EVENT_RETENTION_DAYS).")

    def _deliveries(self, *, endpoint: WebhookEndpoint, failed: bool, limit: int, **_: Any) -> None:
        rows = endpoint.deliveries.select_related("event")
        if failed:
            rows = rows.filter(state=WebhookDelivery.State.FAILED)
        for row in rows[:limit]:
            line = [f"{row.queued_at:%Y-%m-%d %H:%M:%S}", str(row.event_id), row.event.kind, row.state,
                    f"{row.attempts} attempts", row.error]  # fmt: skip
            self.stdout.write("\t".join(line).rstrip())

    def _wait(self, delivery: WebhookDelivery) -> None:
        """Wait for the first attempt of a ping. Raises CommandError when it fails, or nobody makes it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            delivery.refresh_from_db()
            if delivery.state == WebhookDelivery.State.DELIVERED:
                self.stderr.write("It answered the ping: the endpoint is verified.")
                return
            if delivery.error:
                raise CommandError(f"The ping failed: {delivery.error} It is sent again, for a day.")
            time.sleep(0.2)
        if MAINTENANCE in lanes_without_consumer():
            raise CommandError("No maintenance worker is ready, which sends the ping: start one.")
        raise CommandError("The ping has not been sent yet: see `socialsongs_webhooks deliveries`.")


def _time(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None or timezone.is_naive(found):
        raise ArgumentTypeError(f"{text!r} is no time with its offset from UTC, such as 2026-12-01T14:00Z.")
    return found
