"""Give accounts of staff an authenticator for the admin, with recovery codes; list them; remove them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from qrcode.main import QRCode

from ...second_factor import enrol, enrolled, remove


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        added = actions.add_parser("add", help="make a new authenticator and new recovery codes; earlier ones end")
        added.add_argument("user")
        actions.add_parser("list", help="list the accounts that have one")
        removed = actions.add_parser("remove", help="remove authenticator and codes, when both are lost")
        removed.add_argument("user")

    def handle(self, *args: Any, action: str, user: str = "", **options: Any) -> None:
        if action == "list":
            self.stdout.writelines(f"{each.get_username()}\n" for each in enrolled())
            return
        account = User.objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no account {user!r}.")
        if action == "remove":
            self.stdout.write("Removed." if remove(user=account) else f"{user} has no authenticator.")
            return
        url, codes = enrol(user=account)
        code: QRCode[Any] = QRCode(border=2)
        code.add_data(url)
        code.print_ascii(out=self.stdout, invert=True)
        self.stdout.write(url)
        self.stdout.write("Recovery codes, each for one login; keep them apart from the authenticator:")
        self.stdout.write("\n".join(codes))
        self.stderr.write(f"Scan the picture now: none of this can be shown again. SECOND_FACTOR is {self._state()}.")

    def _state(self) -> str:
        return "on" if settings.SECOND_FACTOR else "off: set it to 1 when all staff have an authenticator"
