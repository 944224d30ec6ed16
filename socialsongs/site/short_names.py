"""Short names of the plugin's management commands, as the stand-alone site has had them from its first version."""

from __future__ import annotations

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand


def command(name: str) -> type[BaseCommand]:
    """Return the class of an installed command, whichever app brings it."""
    return type(load_command_class(get_commands()[name], name))
