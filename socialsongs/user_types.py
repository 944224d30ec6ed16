"""Whoever is logged in: the host's user model, which type checkers cannot know. They are told the stand-alone one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    Person: TypeAlias = User
    Visitor: TypeAlias = User | AnonymousUser
