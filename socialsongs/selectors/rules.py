"""Rules of staff."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ..models import Rule


def rules_in_force() -> QuerySet[Rule]:
    """Return the rules that are enabled and within their dates by the database's clock, newest first."""
    begun = Q(starts_at=None) | Q(starts_at__lte=Now())
    return Rule.objects.filter(begun, Q(ends_at=None) | Q(ends_at__gt=Now()), enabled=True)
