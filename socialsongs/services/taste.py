"""Turning on, by the host, and off, by the person, that somebody's own choices count in what is suggested to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from ..errors import TasteNotOffered
from ..models import Taste

if TYPE_CHECKING:
    from ..user_types import Person


def offer_taste(*, user: Person) -> Taste:
    """The host's part: from now on this person's choices count, until they turn it off. Done twice, offered once."""
    taste, _ = Taste.objects.get_or_create(user=user)
    return taste


def set_enabled(*, user: Person, enabled: bool) -> None:
    """The person's part. Raises TasteNotOffered."""
    if not Taste.objects.filter(user=user).update(enabled=enabled):
        raise TasteNotOffered("This site does not adapt suggestions to you, so there is nothing to turn on or off.")


def reset(*, user: Person) -> None:
    """Let nothing count that was chosen or skipped up to now."""
    Taste.objects.filter(user=user).update(since=timezone.now())
