"""What the fuzzed site holds: the sample catalogue, an ordinary account and a superuser, both with a taste."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command

from socialsongs import dispatch
from socialsongs.services.taste import offer_taste


def catalogue() -> None:
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("socialsongs_import_songs", sample=True, verbosity=0)
    call_command("socialsongs_releases", "register")
    dispatch.send(dispatch.DRAIN_BULK)


def accounts() -> dict[str, Any]:
    people: Any = get_user_model().objects
    found = {"ordinary": people.create_user("mara"), "superuser": people.create_superuser("root")}
    for person in found.values():
        offer_taste(user=person)
    return found
