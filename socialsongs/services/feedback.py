"""Records what people do with suggestions; repeated feedback counts once."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.db.models import F
from django.db.models.functions import Now
from django.db.models.lookups import IsNull
from django.utils import timezone
from django.utils.translation import gettext as _

from ..database import atomic
from ..errors import NotSuggested, UnknownRequest, UnknownSong
from ..models import Feedback, Post, RecommendationRequest, Song, Suggestion
from . import events
from .posts import lock_post

if TYPE_CHECKING:
    from ..user_types import Person


def choose_song(*, post: Post, user: Person, song_id: uuid.UUID, request: RecommendationRequest | None = None) -> Song:
    """Make a published song the song of the post, instead of an earlier choice, and record the choice.

    ``request``: the one whose list the song was chosen from; None: the newest whose list has the song, shown ones
    first. Raises UnknownSong or UnknownPost.
    """
    song = Song.objects.filter(pk=song_id, status=Song.Status.PUBLISHED).first()
    if song is None:
        raise UnknownSong(_("There is no published song with this id."))
    with atomic():
        before = lock_post(post=post).chosen_song_id
        Post.objects.filter(pk=post.pk).update(chosen_song=song)
        post.chosen_song = song
        if before != song.pk:
            events.song_chosen(post=post, song=song)
        suggestion = _suggestion(post=post, song_id=song_id, request=request)
        if suggestion is not None:
            _record(suggestion=suggestion, user=user, kind=Feedback.Kind.CHOOSE)
    return song


def clear_choice(*, post: Post) -> None:
    """Remove the song of the post. The feedback stays, because the song was chosen once. Raises UnknownPost."""
    with atomic():
        before = lock_post(post=post).chosen_song_id
        Post.objects.filter(pk=post.pk).update(chosen_song=None)
        post.chosen_song = None
        if before is not None:
            events.song_unchosen(posts=[post], song=before)


def record_feedback(
    *, post: Post, user: Person, song_id: uuid.UUID, kind: str, request: RecommendationRequest | None = None
) -> bool:
    """Record a play, skip or hide of a suggested song; return False when it was recorded before.

    ``request``: as for ``choose_song``. Raises NotSuggested or UnknownPost.
    """
    with atomic():
        lock_post(post=post)
        suggestion = _suggestion(post=post, song_id=song_id, request=request)
        if suggestion is None:
            raise NotSuggested(
                _("The song %(song)s was not suggested for this post, or not in this list.") % {"song": song_id}
            )
        return _record(suggestion=suggestion, user=user, kind=kind)


def undo_hide(*, post: Post, song_ids: Collection[uuid.UUID] | None = None) -> int:
    """Show songs again that were hidden in any list of the post; None: all. Return how many songs.

    Deletes the feedback, so that it no longer counts. Raises UnknownPost.
    """
    with atomic():
        lock_post(post=post)
        hidden = Feedback.objects.filter(request__post=post, kind=Feedback.Kind.HIDE)
        if song_ids is not None:
            hidden = hidden.filter(song__in=song_ids)
        songs = hidden.values("song").distinct().count()
        hidden.delete()
    return songs


def record_text_feedback(*, request: RecommendationRequest, user: Person, song_id: uuid.UUID, kind: str) -> bool:
    """Record a play, skip, hide or choice of a song of a request for a text; False when it was recorded before.

    Raises NotSuggested, or UnknownRequest when the request is deleted.
    """
    with atomic():
        _lock_request(request)
        suggestion = request.suggestions.filter(song=song_id).first()
        if suggestion is None:
            raise NotSuggested(_("The song %(song)s was not suggested for this text.") % {"song": song_id})
        return _record(suggestion=suggestion, user=user, kind=kind)


def undo_text_hide(*, request: RecommendationRequest, user: Person, song_id: uuid.UUID) -> None:
    """Show a song again that this person hid in the list of a text. Raises UnknownRequest."""
    with atomic():
        _lock_request(request)
        Feedback.objects.filter(request=request, user=user, song=song_id, kind=Feedback.Kind.HIDE).delete()


def _lock_request(request: RecommendationRequest) -> None:
    """Lock a request until the commit, so that nobody deletes it meanwhile."""
    if not RecommendationRequest.objects.select_for_update(no_key=True).filter(pk=request.pk).exists():
        raise UnknownRequest(_("This request was deleted."))


def record_impressions(*, request: RecommendationRequest, shown: Sequence[Suggestion], user: Person) -> int:
    """Record, once for each answer, that whoever it is for was shown its songs; return how many songs.

    A worker that answers the request again clears ``shown_at``, so that the new songs count as well.
    """
    if request.shown_at is not None:
        return 0
    with atomic():
        # Updates nothing when another process was first, or when a worker has replaced the answer meanwhile.
        same = RecommendationRequest.objects.filter(pk=request.pk, shown_at=None, finished_at=request.finished_at)
        if not same.update(shown_at=Now()):
            return 0
        rows = [
            Feedback(
                request=request,
                song_id=suggestion.song_id,
                kind=Feedback.Kind.IMPRESSION,
                user_id=user.pk,
                release_id=suggestion.release_id,
                rank=suggestion.rank,
                propensity=suggestion.propensity,
            )
            for suggestion in shown
        ]
        Feedback.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _suggestion(*, post: Post, song_id: uuid.UUID, request: RecommendationRequest | None) -> Suggestion | None:
    found = Suggestion.objects.filter(request__post=post, song_id=song_id)
    if request is not None:
        found = found.filter(request=request)
    return found.order_by(IsNull(F("request__shown_at"), True), "-request__created_at").first()


def _record(*, suggestion: Suggestion, user: Person, kind: str) -> bool:
    row, created = Feedback.objects.get_or_create(
        request_id=suggestion.request_id,
        song_id=suggestion.song_id,
        kind=kind,
        user_id=user.pk,
        release_id=suggestion.release_id,
        defaults={"rank": suggestion.rank, "propensity": suggestion.propensity},
    )
    if not created:  # counted once, with the time of the last one
        Feedback.objects.filter(pk=row.pk).update(created_at=timezone.now())
    return created
