"""Types of a logged-in person and of any visitor. Hosts choose their user model; type checkers use Django's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    Person: TypeAlias = User
    Visitor: TypeAlias = User | AnonymousUser
