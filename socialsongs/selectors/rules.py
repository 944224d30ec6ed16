"""What staff decided over the ranking, and the songs for when none fits."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from ..models import ModelRelease, Rule, SongEmbedding

MOST_OFFERED = 100


def rules_in_force() -> QuerySet[Rule]:
    """Enabled and within their dates by the database's clock; the newest first."""
    begun = Q(starts_at=None) | Q(starts_at__lte=Now())
    return Rule.objects.filter(begun, Q(ends_at=None) | Q(ends_at__gt=Now()), enabled=True)


def editorial_songs(*, release: ModelRelease, condition: Q) -> list[UUID]:
    """Songs that staff would offer to any photo, of those that a request allows; ``condition`` as ``song_filters``."""
    rows = SongEmbedding.objects.filter(condition, release=release, song__editorial=True)
    return list(rows.order_by("song_id").values_list("song_id", flat=True)[:MOST_OFFERED])


def popular_songs(*, release: ModelRelease, condition: Q) -> list[UUID]:
    """The most popular songs, of those that a request allows; none where nothing is known of popularity."""
    rows = SongEmbedding.objects.filter(condition, release=release, song__popularity__gt=0)
    return list(rows.order_by("-song__popularity", "song_id").values_list("song_id", flat=True)[:MOST_OFFERED])
