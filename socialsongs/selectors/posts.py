"""Posts and what was suggested for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from ..conf import config
from ..models import Feedback, PhotoAnalysis, Post, PostPhoto, RecommendationRequest, State, Suggestion

if TYPE_CHECKING:
    from ..people import Visitor


def is_staff(*, user: Visitor) -> bool:
    return bool(getattr(user, "is_staff", False))


def manages_post(*, user: Visitor, post: Post) -> bool:
    """Owner and staff: they see requests, tags and suggestions of the post."""
    return is_staff(user=user) or (user.is_authenticated and post.owner_id == user.pk)


def visible_posts(*, user: Visitor) -> QuerySet[Post]:
    """Posts that this person may know of: public ones, their own, and all of them for staff."""
    posts = Post.objects.select_related("chosen_song").prefetch_related(
        Prefetch("photos", PostPhoto.objects.order_by("position"))
    )
    if is_staff(user=user):
        return posts
    public = posts.filter(visibility=Post.Visibility.PUBLIC)
    return public | posts.filter(owner_id=user.pk) if user.is_authenticated else public


def own_posts(*, user: Visitor) -> QuerySet[Post]:
    """Newest first."""
    return visible_posts(user=user).filter(owner_id=user.pk).order_by("-created_at", "-id")


def managed_requests(*, user: Visitor) -> QuerySet[RecommendationRequest]:
    """Requests for this person's own posts; for staff, for all posts."""
    requests = RecommendationRequest.objects.filter(post__isnull=False).select_related("post")
    return requests if is_staff(user=user) else requests.filter(post__owner_id=user.pk)


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
    shown = request.suggestions.filter(song__status="published").select_related("song", "release").order_by("rank")
    return shown if request.post is None else shown.exclude(song__in=hidden_songs(post=request.post))


def answerable_requests(*, bulk: bool) -> QuerySet[RecommendationRequest]:
    """A lane's requests for photos that were looked at, and for texts. A new post's own is answered with the post."""
    looked_at = Q(post__isnull=True) | Q(post__state=State.READY)
    return RecommendationRequest.objects.filter(looked_at, bulk=bulk)


def analysis(*, photo: PostPhoto) -> PhotoAnalysis | None:
    """What the newest release that looked at the photo saw; None: not processed yet."""
    return PhotoAnalysis.objects.filter(subject__in=photo.subjects.all()).order_by("-created_at", "-pk").first()


class Excerpt(NamedTuple):
    """A lyric line among its neighbours; ``place`` counts all lines of the lyric from 0."""

    text: str
    place: int
    before: list[str]
    after: list[str]


def excerpt(*, suggestion: Suggestion, around: int = 2) -> Excerpt | None:
    """The line that fits with up to ``around`` sung lines on each side; None when there is no such line.

    A lyric that was edited since shows the line as it was suggested, without neighbours.
    """
    index = suggestion.line_index
    if index is None or not suggestion.line:
        return None
    lines = [line.strip() for line in suggestion.song.lyrics.split("\n")]
    if index >= len(lines) or lines[index] != suggestion.line:
        return Excerpt(suggestion.line, index, [], [])
    before = [line for line in lines[:index] if line][-around:]
    after = [line for line in lines[index + 1 :] if line][:around]
    return Excerpt(suggestion.line, index, before, after)
