"""Records who sees private posts of other people, before anything of them is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils import timezone

from ..models import Post, PostAccess
from ..policy import is_public, policy

if TYPE_CHECKING:
    from ..user_types import Person


def record_access(*, reader: Person, posts: Iterable[Post], door: PostAccess.Door) -> None:
    """Record that this person sees these posts: only private posts of others, once an hour for each door.

    When a row cannot be written, the error ends the request, so that the post is not shown.
    """
    rules = policy()
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = [
        PostAccess(
            reader=str(reader.pk),
            reader_name=reader.get_username()[:254],
            post=str(post.pk),
            owner=str(post.owner_id),
            door=door,
            hour=hour,
        )
        for post in posts
        if not is_public(post) and not rules.is_poster(user=reader, post=post)
    ]
    PostAccess.objects.bulk_create(rows, ignore_conflicts=True)
