"""Rights on posts of others are Django's permissions, never the staff flag alone (docs/security.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..user_types import Visitor


def permitted(*, user: Visitor, permission: str) -> bool:
    """Return whether the person has a permission of this app; False for a user model without permissions.

    Also False when an API key acts for the person: it never has rights of staff.
    """
    has_perm = getattr(user, "has_perm", None)
    by_key = getattr(user, "acts_by_key", False)
    return not by_key and has_perm is not None and bool(has_perm(f"socialsongs.{permission}"))
