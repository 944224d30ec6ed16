"""Switches taste: the host offers it to a person, who can turn it off, on and reset it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from ..errors import TasteNotOffered
from ..models import Taste

if TYPE_CHECKING:
    from ..user_types import Person


def offer_taste(*, user: Person) -> Taste:
    """Called by the host: use this person's taste from now on, until they turn it off. Repeating changes nothing."""
    taste, _ = Taste.objects.get_or_create(user=user)
    return taste


def set_enabled(*, user: Person, enabled: bool) -> None:
    """Called for the person: turn taste on or off. Raises TasteNotOffered."""
    if not Taste.objects.filter(user=user).update(enabled=enabled):
        raise TasteNotOffered(
            _("This site does not adapt suggestions to your taste, so there is nothing to turn on or off.")
        )


def reset(*, user: Person) -> None:
    """Ignore what the person chose and skipped until now."""
    Taste.objects.filter(user=user).update(since=timezone.now())
