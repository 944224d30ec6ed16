"""Which people see each other's public posts: API clients keep theirs apart, unless they share them.

The people of the site, and those of API clients that share public posts, are one circle. The people of each other
client are a circle of their own. An account of the site is in the site's circle also when a key acts for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from ..models import ExternalUser

if TYPE_CHECKING:
    from ..user_types import Visitor


def _kept_apart() -> QuerySet[ExternalUser]:
    return ExternalUser.objects.filter(made=True, client__shares_public_posts=False)


def circle_of(*, user: Visitor) -> UUID | None:
    """Return the client whose circle this person is in; None: the site's."""
    return _kept_apart().filter(user=user.pk).values_list("client", flat=True).first()


def in_circle(*, client: UUID | None) -> Q:
    """Select the posts of people of a client's circle; None: the site's."""
    owners = _kept_apart().filter(user=OuterRef("owner"))
    return ~Q(Exists(owners)) if client is None else Q(Exists(owners.filter(client=client)))


def share_a_circle(*, user: Visitor, other: Any) -> bool:
    """Return whether a person and the account with the key ``other`` see each other's public posts."""
    clients = dict(_kept_apart().filter(user__in=[user.pk, other]).values_list("user", "client"))
    return clients.get(user.pk) == clients.get(other)  # type: ignore[arg-type]  # AnonymousUser has the key None
