"""Create, list and revoke tokens for the API. The text of a token is printed once, when it is created."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...models import Token
from ...tokens import issue, revoke


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="create a token; only its text goes to the standard output")
        create.add_argument("user")
        create.add_argument("--name", required=True, help="purpose of the token; unique within the account")
        create.add_argument("--scopes", nargs="+", choices=Token.Scope.values, default=["read", "write"])
        create.add_argument("--days", type=int, default=365, help="days until it expires; 0: valid until it is revoked")
        listed = actions.add_parser("list", help="list the tokens of an account, or all")
        listed.add_argument("user", nargs="?")
        revoked = actions.add_parser("revoke", help="revoke a token of an account, or all of them")
        revoked.add_argument("user")
        which = revoked.add_mutually_exclusive_group(required=True)
        which.add_argument("--name")
        which.add_argument("--all", action="store_true")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _create(self, *, user: str, name: str, scopes: list[str], days: int, **_: Any) -> None:
        if not 0 <= days <= 3650:
            raise CommandError("--days must be from 0 (valid until it is revoked) to 3650.")
        account = self._account(user)
        if not 0 < len(name) <= 100:
            raise CommandError("--name must have 1 to 100 characters.")
        if Token.objects.filter(user=account, name=name).exists():
            raise CommandError(f"{user} has a token {name!r} already: revoke it first, or choose another name.")
        made, text = issue(user=account, name=name, scopes=set(scopes), days=days or None)
        self.stdout.write(text)
        self.stderr.write(f"Store it now: the text of {made} cannot be shown again.")

    def _list(self, *, user: str | None, **_: Any) -> None:
        tokens = Token.objects.select_related("user").order_by("user__username", "name")
        if user is not None:
            tokens = tokens.filter(user=self._account(user))
        now = timezone.now()
        for token in tokens:
            until = f"until {token.expiry:%Y-%m-%d}" if token.expiry else "until it is revoked"
            expired = token.expiry is not None and token.expiry <= now
            used = f"used {token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never used"
            line = [token.user.username, token.name, "+".join(token.scopes), "expired" if expired else until, used]
            self.stdout.write("\t".join(line))

    def _revoke(self, *, user: str, name: str | None, **_: Any) -> None:
        count = revoke(user=self._account(user), name=name)
        if name is not None and not count:
            raise CommandError(f"{user} has no token {name!r}: see `manage.py token list {user}`.")
        self.stdout.write(f"{count} revoked.")

    def _account(self, name: str) -> User:
        account = User.objects.filter(username=name).first()
        if account is None:
            raise CommandError(f"There is no account {name!r}.")
        return account
