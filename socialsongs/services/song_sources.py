"""Which API client writes the songs of a source: none writes over those of another, or of the site."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..errors import SourceTaken
from ..models import ApiClient, Song, SongSource


def take_source(*, name: str, client: ApiClient) -> None:
    """Make a source without songs the client's, for as long as there is the client. Raises SourceTaken.

    To be called in a transaction.
    """
    if not Song.objects.filter(source=name).exists():
        SongSource.objects.bulk_create([SongSource(name=name, client=client)], ignore_conflicts=True)
    check_source(name=name, client=client)


def check_source(*, name: str, client: ApiClient) -> None:
    """Raise SourceTaken when the source is another client's, or has songs and is no client's."""
    taken = SongSource.objects.filter(name=name).first()
    if taken.client_id != client.pk if taken else Song.objects.filter(source=name).exists():
        raise SourceTaken(
            _(
                "The source “%(source)s” is not yours, but the site's or another platform's. Use another name; where "
                "the songs are yours, ask the site's staff for the source."
            )
            % {"source": name}
        )
