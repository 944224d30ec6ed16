"""What people do with suggestions. Told twice, counted once."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from ..errors import NotSuggested, UnknownSong
from ..models import Feedback, Post, Song, Suggestion

if TYPE_CHECKING:
    from ..people import Person


def choose_song(*, post: Post, user: Person, song_id: uuid.UUID) -> Song:
    """Make a published song the post's song; one more training pair. Choosing again changes the choice.

    Raises UnknownSong.
    """
    song = Song.objects.filter(pk=song_id, status=Song.Status.PUBLISHED).first()
    if song is None:
        raise UnknownSong("There is no published song with this id.")
    with transaction.atomic():
        Post.objects.filter(pk=post.pk).update(chosen_song=song)
        post.chosen_song = song
        suggestion = _suggestion(post=post, song_id=song_id)
        if suggestion is not None:
            _record(suggestion=suggestion, user=user, kind=Feedback.Kind.CHOOSE)
    return song


def clear_choice(*, post: Post) -> None:
    """Take the post's song away. The feedback stays: it was once chosen."""
    Post.objects.filter(pk=post.pk).update(chosen_song=None)
    post.chosen_song = None


def record_feedback(*, post: Post, user: Person, song_id: uuid.UUID, kind: str) -> bool:
    """Note an impression, play, skip or hide of a suggested song; False when it was known already.

    Raises NotSuggested.
    """
    suggestion = _suggestion(post=post, song_id=song_id)
    if suggestion is None:
        raise NotSuggested("This song was not suggested for this post.")
    return _record(suggestion=suggestion, user=user, kind=kind)


def _suggestion(*, post: Post, song_id: uuid.UUID) -> Suggestion | None:
    newest = Suggestion.objects.filter(request__post=post, song_id=song_id).order_by("-request__created_at")
    return newest.first()


def _record(*, suggestion: Suggestion, user: Person, kind: str) -> bool:
    _, created = Feedback.objects.get_or_create(
        request_id=suggestion.request_id,
        song_id=suggestion.song_id,
        kind=kind,
        user=user,
        defaults={
            "release_id": suggestion.release_id,
            "rank": suggestion.rank,
            "propensity": suggestion.propensity,
        },
    )
    return created
