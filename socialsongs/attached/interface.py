"""Functions for a host's own code, about photos of its attached models.

They trust the caller: who may see a photo or choose a song for it is the host's to check. All are importable from
``socialsongs``. Functions that write take effect with the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Model

from .. import dispatch
from ..errors import NotEncoded, NotRetryable, UnknownPost
from ..models import Feedback, Post, RecommendationRequest, Song, State, Suggestion
from ..selectors.posts import default_request, newest_analysis, state_of, suggestions_of
from ..selectors.similar import posts_for_song
from ..services.feedback import choose_song, clear_choice, record_feedback, undo_hide
from ..services.posts import retry_post
from ..services.recommendation_requests import request_for_text, request_recommendations
from .registry import Attachment, NotAttached, attachment_of
from .sync import subjects_of, sync_photos

if TYPE_CHECKING:
    from ..user_types import Person


@dataclass(frozen=True)
class SuggestedSongs:
    """The answer to a request, as far as it is known.

    state       "queued", "analysing", "ready" or "failed"
    reason      code of the reason why it failed, or empty
    songs       suggestions, best first: ``song``, ``line``, ``reasons``, ``clip_start_ms`` ...; empty until ready
    confident   whether a song clearly fits; None until ready
    notice      code of the reason why songs are few, or empty
    request     the request itself, to name in ``choose`` and ``feedback``
    """

    state: str
    reason: str
    songs: Sequence[Suggestion]
    confident: bool | None
    notice: str
    request: RecommendationRequest


def post_of(photo: Model) -> Post | None:
    """Return the post of an attached photo; None when it has none yet. Raises NotAttached for another model."""
    attachment = _attachment(photo)
    subject = subjects_of(attachment).filter(object_id=str(photo.pk)).select_related("post__chosen_song").first()
    return None if subject is None else getattr(subject, "post", None)


def suggest_for(photo: Model, *, text: str = "", parameters: Mapping[str, Any] | None = None) -> RecommendationRequest:
    """Ask for songs for a photo now, before other work, and return the request; a photo that failed is tried again.

    ``text`` and ``parameters`` (limit, exclude, market, language, explicit, genre) make it a further request, which
    leaves the photo's own list as it is. Raises NotAttached for a photo that does not count, and PostFailed.
    """
    attachment = _attachment(photo)
    sync_photos(attachment, [photo])
    post = post_of(photo)
    if post is None or photo.pk not in attachment.counting([photo]):
        raise NotAttached(
            f"{attachment.label} {photo.pk} does not count: it has no file, or `when` of its attach call leaves it out."
        )
    if post.state == State.FAILED:
        with suppress(NotRetryable):  # somebody else was first
            retry_post(post=post)
    elif Post.objects.filter(pk=post.pk, bulk=True, state=State.QUEUED).update(bulk=False):
        dispatch.announce_photos()  # somebody waits for it now
    if text or parameters:
        return request_recommendations(post=post, text=text, parameters=parameters)
    return _default(post)


def songs_for_text(text: str, *, user: Person, parameters: Mapping[str, Any] | None = None) -> RecommendationRequest:
    """Ask for songs for a text alone, and return the request, which only this person sees; pass it to ``suggestions``.

    ``parameters``: as for ``suggest_for``. Raises TextRefused.
    """
    return request_for_text(owner=user, text=text, parameters=parameters)


def suggestions(of: Model) -> SuggestedSongs | None:
    """Return the songs for a photo, or those of a request of ``suggest_for``; None for a photo without a post yet."""
    if isinstance(of, RecommendationRequest):
        of.refresh_from_db()
        return _answer(of)
    post = post_of(of)
    return None if post is None else _answer(_default(post))


def chosen_song(photo: Model) -> Song | None:
    """Return the song that was chosen for the photo, or None."""
    post = post_of(photo)
    return None if post is None else post.chosen_song


def choose(photo: Model, song: Song, *, user: Person, request: RecommendationRequest | None = None) -> None:
    """Make a published song the song of the photo, and count the choice for this person's taste.

    ``request``: the list it was chosen from; None: the newest list that has it. Raises UnknownSong or UnknownPost.
    """
    choose_song(post=_post(photo), user=user, song_id=song.pk, request=request)


def unchoose(photo: Model) -> None:
    """Remove the chosen song from the photo. Raises UnknownPost."""
    clear_choice(post=_post(photo))


def feedback(
    photo: Model, song: Song, kind: str, *, user: Person, request: RecommendationRequest | None = None
) -> bool:
    """Record "play", "skip" or "hide" of a suggested song; return False when it was recorded before.

    A hidden song leaves the lists of the photo. Raises ValueError, NotSuggested or UnknownPost.
    """
    kinds = (Feedback.Kind.PLAY, Feedback.Kind.SKIP, Feedback.Kind.HIDE)
    if kind not in kinds:
        raise ValueError(f"kind is {kind!r}; give one of {', '.join(kinds)}. To choose a song, call choose.")
    return record_feedback(post=_post(photo), user=user, song_id=song.pk, kind=kind, request=request)


def show_hidden(photo: Model, *songs: Song) -> int:
    """Show hidden songs of the photo again, all of them when none is named; return how many. Raises UnknownPost."""
    return undo_hide(post=_post(photo), song_ids=[song.pk for song in songs] or None)


def tags(photo: Model) -> list[dict[str, Any]] | None:
    """Return the tags of a photo, best first: "name", "kind", "score" (0 to 1) and "box" (x0, y0, x1, y1 as fractions).

    None: not analysed yet. Empty: nothing was recognised.
    """
    post = post_of(photo)
    analysis = None if post is None else newest_analysis(photo=post.photos.select_related("post__subject").get())
    return None if analysis is None else analysis.tags


def photos_for(song: Song, *, model: type[Model], limit: int = 20) -> list[Any]:
    """Return public photos of an attached model that the song fits, best first; empty while it is not encoded."""
    try:
        posts = posts_for_song(song=song, limit=limit, models=[model])
    except NotEncoded:
        return []
    return [post.subject.photo for post in posts if post.subject is not None]


def _attachment(photo: Model) -> Attachment:
    attachment = attachment_of(photo)
    if attachment is None:
        raise NotAttached(
            f"{photo._meta.label} is not attached. Call socialsongs.attach({photo._meta.object_name}, ...) in ready() "
            "of your AppConfig."
        )
    return attachment


def _post(photo: Model) -> Post:
    post = post_of(photo)
    if post is None:
        raise UnknownPost(f"{photo._meta.label} {photo.pk} has no post yet. Call socialsongs.suggest_for first.")
    return post


def _default(post: Post) -> RecommendationRequest:
    request = default_request(post=post)
    assert request is not None, "each post has a default request"
    return request


def _answer(request: RecommendationRequest) -> SuggestedSongs:
    state, reason = state_of(request=request)
    is_ready = state == State.READY
    return SuggestedSongs(
        state=state,
        reason=reason,
        songs=list(suggestions_of(request=request)) if is_ready else [],
        confident=request.confident if is_ready else None,
        notice=request.notice if is_ready else "",
        request=request,
    )
