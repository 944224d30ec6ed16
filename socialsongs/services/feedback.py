"""What people do with suggestions. Told twice, counted once."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now

from ..errors import NotSuggested, UnknownSong
from ..models import Feedback, Post, RecommendationRequest, Song, Suggestion
from ..selectors.posts import suggestions_of

if TYPE_CHECKING:
    from ..people import Person


def choose_song(*, post: Post, user: Person, song_id: uuid.UUID, request: RecommendationRequest | None = None) -> Song:
    """Make a published song the post's song; one more training pair. Choosing again changes the choice.

    ``request``: in whose list it was chosen; None: in the newest that has it. Raises UnknownSong.
    """
    song = Song.objects.filter(pk=song_id, status=Song.Status.PUBLISHED).first()
    if song is None:
        raise UnknownSong("There is no published song with this id.")
    with transaction.atomic():
        Post.objects.filter(pk=post.pk).update(chosen_song=song)
        post.chosen_song = song
        suggestion = _suggestion(post=post, song_id=song_id, request=request)
        if suggestion is not None:
            _record(suggestion=suggestion, user=user, kind=Feedback.Kind.CHOOSE)
    return song


def clear_choice(*, post: Post) -> None:
    """Take the post's song away. The feedback stays: it was once chosen."""
    Post.objects.filter(pk=post.pk).update(chosen_song=None)
    post.chosen_song = None


def record_feedback(
    *, post: Post, user: Person, song_id: uuid.UUID, kind: str, request: RecommendationRequest | None = None
) -> bool:
    """Note an impression, play, skip or hide of a suggested song; False when it was known already.

    ``request``: in whose list; None: in the newest that has the song. Raises NotSuggested.
    """
    suggestion = _suggestion(post=post, song_id=song_id, request=request)
    if suggestion is None:
        raise NotSuggested("This song was not suggested for this post.")
    return _record(suggestion=suggestion, user=user, kind=kind)


def log_impressions(*, request: RecommendationRequest, user: Person) -> int:
    """Note, once for each answer, that the owner of the request's post is shown its songs; returns how many songs.

    A worker that answers anew clears ``shown_at``, so that the new songs count as well.
    """
    if request.shown_at is not None:
        return 0
    with transaction.atomic():
        # Whoever comes second finds nothing to change.
        if not RecommendationRequest.objects.filter(pk=request.pk, shown_at=None).update(shown_at=Now()):
            return 0
        shown = [
            Feedback(
                request=request,
                song_id=suggestion.song_id,
                kind=Feedback.Kind.IMPRESSION,
                user=user,
                release_id=suggestion.release_id,
                rank=suggestion.rank,
                propensity=suggestion.propensity,
            )
            for suggestion in suggestions_of(request=request)
        ]
        Feedback.objects.bulk_create(shown, ignore_conflicts=True)
    return len(shown)


def _suggestion(*, post: Post, song_id: uuid.UUID, request: RecommendationRequest | None) -> Suggestion | None:
    found = Suggestion.objects.filter(request__post=post, song_id=song_id)
    if request is not None:
        found = found.filter(request=request)
    return found.order_by("-request__created_at").first()


def _record(*, suggestion: Suggestion, user: Person, kind: str) -> bool:
    _, created = Feedback.objects.get_or_create(
        request_id=suggestion.request_id,
        song_id=suggestion.song_id,
        kind=kind,
        user=user,
        release_id=suggestion.release_id,
        defaults={"rank": suggestion.rank, "propensity": suggestion.propensity},
    )
    return created
