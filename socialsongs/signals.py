"""Signals by which a host hears what happened to posts.

They are sent after the commit, by the maintenance worker, at least once: a receiver may get the same event again, with
the same ``id``, and must do its work once for each id. A receiver that raises is called again later, the others are
not. All four have the same arguments:

    sender  the class of the attached photos, or ``Post`` for posts that were uploaded
    event   a ``PostEvent``

    from django.dispatch import receiver
    from socialsongs.signals import PostEvent, suggestions_ready

    @receiver(suggestions_ready, sender=Photo)
    def tell_author(event: PostEvent, **kwargs):
        Notice.objects.get_or_create(event=event.id, defaults={"photo_id": event.photo_key})

Connect receivers in ``AppConfig.ready()``, so that the maintenance worker has them, too.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.dispatch import Signal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PostEvent:
    """What happened. Ids, not rows: a post that was deleted before is not heard of, but it may be deleted just now.

    request_id   the request that was answered (``suggestions_ready``)
    song_id      the song that was chosen, or is no longer chosen
    photo_model, photo_key   of an attached photo: "app.model" and the primary key as text
    reason       why a post failed, as a code; "" otherwise
    """

    id: UUID
    kind: str
    created_at: datetime
    post_id: UUID | None = None
    request_id: UUID | None = None
    song_id: UUID | None = None
    owner_id: Any = None
    photo_model: str | None = None
    photo_key: str | None = None
    reason: str = ""


class EventSignal(Signal):
    """A signal that says which receivers failed, and can be sent again to these alone."""

    def send_event(self, *, sender: Any, event: PostEvent, only: Collection[str] = ()) -> dict[str, Exception]:
        """Call the receivers, or those named in ``only``; return the error of each that failed, by its name."""
        failed: dict[str, Exception] = {}
        plain, asynchronous = self._live_receivers(sender)
        calls = [*plain, *map(async_to_sync, asynchronous)]
        for receiver, call in zip([*plain, *asynchronous], calls, strict=True):
            name = _name(receiver)
            if only and name not in only:
                continue
            try:
                call(signal=self, sender=sender, event=event)
            except Exception as error:
                logger.warning("The receiver %s failed for event %s", name, event.id, exc_info=True)
                failed[name] = error
        return failed


def _name(receiver: Any) -> str:
    named = receiver if hasattr(receiver, "__qualname__") else type(receiver)
    return f"{named.__module__}.{named.__qualname__}"


suggestions_ready = EventSignal()
"""A request was answered: the default one of a new or retried post, a further one, or one that is answered again."""

song_chosen = EventSignal()
"""A song became the song of a post, perhaps instead of another one."""

song_unchosen = EventSignal()
"""A post has no song any more."""

post_failed = EventSignal()
"""A post failed for good: ``reason`` says why. It can be retried."""

BY_KIND: dict[str, EventSignal] = {
    "suggestions_ready": suggestions_ready,
    "song_chosen": song_chosen,
    "song_unchosen": song_unchosen,
    "post_failed": post_failed,
}
