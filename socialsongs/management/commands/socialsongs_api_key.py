"""Create, list and revoke API keys. The text of a key is printed once, when it is created."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from socialsongs.database import atomic
from socialsongs.models import ApiClient, ApiKey, Scope
from socialsongs.plain_text import plain_text
from socialsongs.services.api_keys import MOST_DAYS, end_of, make_key, revoke_key

MOST_CHARACTERS = 100
USUAL = [scope for scope in Scope.values if scope != Scope.SONGS_WRITE]


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser(
            "create", help="create a key, and the client if it is new; only the key goes to the standard output"
        )
        create.add_argument("client", help="name of the platform")
        create.add_argument("--name", required=True, help="purpose of the key")
        create.add_argument(
            "--scopes",
            nargs="+",
            choices=Scope.values,
            metavar="SCOPE",
            help=f"default: those of the client; of a new one all but songs:write. One of {', '.join(Scope.values)}",
        )
        create.add_argument("--days", type=int, default=365, help="days until it expires; 0: valid until it is revoked")
        listed = actions.add_parser("list", help="list the keys of a client, or all")
        listed.add_argument("client", nargs="?")
        revoked = actions.add_parser("revoke", help="revoke a key, given its prefix, or all keys of a client")
        which = revoked.add_mutually_exclusive_group(required=True)
        which.add_argument("prefix", nargs="?", help="the part of the key between ss_ and the next _")
        which.add_argument("--client", help="revoke all keys of this client")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        for given in ("client", "name", "prefix"):
            if (text := options.get(given)) is not None:
                self._check(given, text)
        getattr(self, f"_{action}")(**options)

    def _check(self, given: str, text: str) -> None:
        try:
            plain_text(text)
        except ValidationError as error:
            raise CommandError(f"{given}: {error.message}") from None
        if len(text) > MOST_CHARACTERS:
            raise CommandError(f"{given}: It has {len(text)} characters, more than {MOST_CHARACTERS}.")

    def _create(self, *, client: str, name: str, scopes: list[str] | None, days: int, **_: Any) -> None:
        if not 0 <= days <= MOST_DAYS:
            raise CommandError(f"--days must be from 0 (valid until it is revoked) to {MOST_DAYS}.")
        with atomic():
            platform, is_new = ApiClient.objects.get_or_create(name=client, defaults={"scopes": scopes or USUAL})
            if more := set(scopes or []) - set(platform.scopes):
                raise CommandError(
                    f"{client} may not have {', '.join(sorted(more))}: give it the scope in the admin first."
                )
            made, text = make_key(
                client=platform,
                name=name,
                scopes=set(scopes or platform.scopes),
                expires_at=end_of(days=days or None),
            )
        self.stdout.write(text)
        if is_new:
            self.stderr.write(f"{client} is a new API client.")
        self.stderr.write(f"Store it now: the text of {made} cannot be shown again.")

    def _list(self, *, client: str | None, **_: Any) -> None:
        keys = ApiKey.objects.select_related("client").order_by("client__name", "created_at")
        if client is not None:
            keys = keys.filter(client=self._client(client))
        now = timezone.now()
        for key in keys:
            if key.revoked_at is not None:
                until = f"revoked {key.revoked_at:%Y-%m-%d}"
            elif key.expires_at is None:
                until = "until it is revoked"
            else:
                until = "expired" if key.expires_at <= now else f"until {key.expires_at:%Y-%m-%d}"
            used = f"used {key.last_used_at:%Y-%m-%d %H}h" if key.last_used_at else "never used"
            self.stdout.write("\t".join([key.client.name, key.name, key.prefix, "+".join(key.scopes), until, used]))

    def _revoke(self, *, prefix: str | None, client: str | None, **_: Any) -> None:
        keys = ApiKey.objects.filter(revoked_at=None)
        keys = keys.filter(prefix=prefix) if client is None else keys.filter(client=self._client(client))
        found = list(keys)
        if client is None and not found:
            raise CommandError(f"There is no valid key {prefix!r}: see `manage.py socialsongs_api_key list`.")
        for key in found:
            revoke_key(key=key)
        self.stdout.write(f"{len(found)} revoked.")

    def _client(self, name: str) -> ApiClient:
        found = ApiClient.objects.filter(name=name).first()
        if found is None:
            raise CommandError(f"There is no API client {name!r}.")
        return found
