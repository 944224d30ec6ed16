"""Posts and what was suggested for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from ..conf import config
from ..models import Feedback, PhotoAnalysis, Post, PostPhoto, RecommendationRequest, State, Suggestion
from ..sung import comparison_key, sung_part
from .permissions import permitted

if TYPE_CHECKING:
    from ..user_types import Visitor


def manages_post(*, user: Visitor, post: Post) -> bool:
    """The owner, and who may view all posts: they see requests, tags and suggestions of the post."""
    return post.owner_id == user.pk or permitted(user=user, permission="view_post")


def _posts() -> QuerySet[Post]:
    return Post.objects.select_related("chosen_song").prefetch_related(
        Prefetch("photos", PostPhoto.objects.order_by("position"))
    )


def public_posts() -> QuerySet[Post]:
    return _posts().filter(visibility=Post.Visibility.PUBLIC)


def own_posts(*, user: Visitor) -> QuerySet[Post]:
    """Newest first."""
    return _posts().filter(owner_id=user.pk).order_by("-created_at", "-id")


def find_post(*, user: Visitor, post_id: UUID) -> Post | None:
    """A post that this person may know of: a public one, their own, or any for who may view all posts."""
    post = _posts().filter(pk=post_id).first()
    public = post is not None and post.visibility == Post.Visibility.PUBLIC
    return post if post is not None and (public or manages_post(user=user, post=post)) else None


def find_request(*, user: Visitor, post_id: UUID, request_id: UUID) -> RecommendationRequest | None:
    """A request for a post that this person manages."""
    asked = RecommendationRequest.objects.filter(pk=request_id, post=post_id).select_related("post").first()
    return asked if asked is not None and asked.post and manages_post(user=user, post=asked.post) else None


def default_request(*, post: Post) -> RecommendationRequest | None:
    """The one that came with the post, for which it shows suggestions."""
    return post.requests.filter(is_default=True).first()


def default_parameters() -> dict[str, Any]:
    """What a request asks for unless it says otherwise."""
    return {
        "limit": config().SUGGESTIONS,
        "exclude": [],
        "market": config().MARKET,
        "language": None,
        "explicit": False,
        "genre": None,
    }


def state_of(*, request: RecommendationRequest) -> tuple[str, str]:
    """State and reason. A request waits for its post, and fails with it until the post is retried."""
    post = request.post
    waits = request.state in (State.QUEUED, State.ANALYSING)
    row = post if post is not None and waits and post.state == State.FAILED else request
    return row.state, row.reason


def hidden_songs(*, post: Post) -> QuerySet[Feedback, UUID]:
    """Ids of the songs that its owner hid in any list of the post."""
    hidden = Feedback.objects.filter(request__post=post, user=post.owner_id, kind=Feedback.Kind.HIDE)
    return hidden.values_list("song", flat=True)


def suggestions_of(*, request: RecommendationRequest) -> QuerySet[Suggestion]:
    """Best first; songs that were hidden in any list of the post, or left the catalogue, are gone."""
    shown = _published_suggestions(request)
    return shown if request.post is None else shown.exclude(song__in=hidden_songs(post=request.post))


def hidden_suggestions(*, request: RecommendationRequest) -> QuerySet[Suggestion]:
    """Those that ``suggestions_of`` leaves out because they were hidden."""
    return (
        _published_suggestions(request).filter(song__in=hidden_songs(post=request.post))
        if request.post
        else Suggestion.objects.none()
    )


def _published_suggestions(request: RecommendationRequest) -> QuerySet[Suggestion]:
    return request.suggestions.filter(song__status="published").select_related("song", "release").order_by("rank")


def answerable_requests(*, bulk: bool) -> QuerySet[RecommendationRequest]:
    """A lane's requests for photos that were looked at, and for texts. A new post's own is answered with the post."""
    looked_at = Q(post__isnull=True) | Q(post__state=State.READY)
    return RecommendationRequest.objects.filter(looked_at, bulk=bulk)


def newest_analysis(*, photo: PostPhoto) -> PhotoAnalysis | None:
    """What the newest release that looked at the photo saw; None: not processed yet."""
    return PhotoAnalysis.objects.filter(subject__in=photo.subjects.all()).order_by("-created_at", "-pk").first()


LONGEST_LINE = 500  # of which a suggestion keeps so much


class Excerpt(NamedTuple):
    """A lyric line among its neighbours; ``place`` counts all lines of the lyric from 0."""

    text: str
    place: int
    before: list[str]
    after: list[str]


def excerpt(*, suggestion: Suggestion, around: int = 2) -> Excerpt | None:
    """The line that fits with up to ``around`` sung lines on each side; None when there is no such line.

    In a lyric that was edited since it is looked for, and shown as it is written now; a line that is no longer in it is
    not shown.
    """
    suggested = suggestion.line_index
    if suggested is None or not suggestion.line:
        return None
    lines = [sung_part(line) for line in suggestion.song.lyrics.split("\n")]
    wanted = comparison_key(sung_part(suggestion.line))
    nearest = sorted(range(len(lines)), key=lambda place: abs(place - suggested))
    index = next((place for place in nearest if wanted and comparison_key(lines[place][:LONGEST_LINE]) == wanted), None)
    if index is None:
        return None
    before = [line for line in lines[:index] if line][-around:]
    after = [line for line in lines[index + 1 :] if line][:around]
    return Excerpt(lines[index], index, before, after)
