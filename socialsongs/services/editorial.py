"""The songs that editors picked for photos that no song fits clearly."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from ..models import Song


def set_editorial(*, songs: QuerySet[Song], editorial: bool) -> int:
    """Offer these songs when nothing fits, or no longer; returns how many changed."""
    changed = Song.objects.filter(pk__in=songs.values("pk")).exclude(editorial=editorial)
    return changed.update(editorial=editorial, updated_at=timezone.now())
