"""The rows of the photos that subjects point at."""

from __future__ import annotations

from django.contrib.contenttypes.prefetch import GenericPrefetch

from ..attached.registry import attachments
from ..models import PostPhoto


def photo_rows(lookup: str) -> GenericPrefetch[str]:
    """Prefetch a ``PhotoSubject.photo`` from the databases that take the writes of its models.

    Django would read from a replica, and a photo that was stored a moment ago would count as missing.
    """
    return GenericPrefetch(lookup, [PostPhoto.objects.all(), *(attachment.rows() for attachment in attachments())])
