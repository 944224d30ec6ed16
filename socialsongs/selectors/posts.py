"""Posts, their requests and suggestions, and who may see them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db.models import F, Prefetch, Q, QuerySet

from ..conf import config
from ..models import Feedback, PhotoAnalysis, Post, PostPhoto, RecommendationRequest, State, Suggestion
from ..policy import policy
from ..sung import comparison_key, sung_part
from .external_users import in_circle

if TYPE_CHECKING:
    from ..user_types import Visitor


# Columns of a song that neither a post nor a list shows.
UNSHOWN = ("synced_lyrics", "lyrics_digest", "markets", "popularity", "editorial", "source", "source_id", "created_at",
           "updated_at")  # fmt: skip


def _posts() -> QuerySet[Post]:
    photos = PostPhoto.objects.order_by("position")
    return Post.objects.select_related("chosen_song", "subject").prefetch_related(Prefetch("photos", photos))


def public_posts(*, client: UUID | None) -> QuerySet[Post]:
    """Return the public posts of a client's circle; None: of the site's."""
    return _posts().filter(in_circle(client=client), visibility=Post.Visibility.PUBLIC)


def own_posts(*, user: Visitor) -> QuerySet[Post]:
    """Return the person's own posts, newest first."""
    return _posts().filter(policy().own(user=user)).order_by("-created_at", "-id")


def find_post(*, user: Visitor, post_id: UUID) -> Post | None:
    """Return a post that this person may see, by the policy; None otherwise."""
    post = _posts().filter(pk=post_id).first()
    return post if post is not None and policy().may_view(user=user, post=post) else None


def find_managed_post(*, user: Visitor, post_id: UUID) -> Post | None:
    """Return a post that this person may manage, by the policy; None otherwise."""
    post = _posts().filter(pk=post_id).first()
    return post if post is not None and policy().may_manage(user=user, post=post) else None


def find_request(*, user: Visitor, post_id: UUID, request_id: UUID) -> RecommendationRequest | None:
    """Return a request for a post whose suggestions this person may see, by the policy; None otherwise."""
    request = RecommendationRequest.objects.filter(pk=request_id, post=post_id).select_related("post__subject").first()
    if request is None or request.post is None:
        return None
    return request if policy().may_view_suggestions(user=user, post=request.post) else None


def find_text_request(*, user: Visitor, request_id: UUID) -> RecommendationRequest | None:
    """Return a request by a text alone that this person sent; None otherwise, also for people with rights."""
    return RecommendationRequest.objects.filter(pk=request_id, owner=user.pk, post=None).first()


def default_request(*, post: Post) -> RecommendationRequest | None:
    """Return the request that was created with the post."""
    return post.requests.filter(is_default=True).first()


def default_parameters() -> dict[str, Any]:
    """Return the parameters of a request that names none."""
    return {
        "limit": config().SUGGESTIONS,
        "exclude": [],
        "market": config().MARKET,
        "language": None,
        "explicit": False,
        "genre": None,
    }


def state_of(*, request: RecommendationRequest) -> tuple[str, str]:
    """Return state and reason. An unanswered request of a failed post counts as failed, until the post is retried."""
    post = request.post
    waits = request.state in (State.QUEUED, State.ANALYSING)
    row = post if post is not None and waits and post.state == State.FAILED else request
    return row.state, row.reason


def owner_of(*, request: RecommendationRequest) -> Any:
    """Return the id of the person who asked: of the post's owner, or of whoever sent a text; None when nobody did."""
    return request.owner_id if request.post is None else request.post.owner_id


def hidden_songs(*, request: RecommendationRequest) -> QuerySet[Feedback, UUID]:
    """Return the ids of the songs that whoever manages the post hid in any of its lists; of a text, in its own list."""
    lists = {"request": request} if request.post is None else {"request__post": request.post}
    hidden = Feedback.objects.filter(**lists, kind=Feedback.Kind.HIDE)
    return hidden.values_list("song", flat=True)


def suggestions_of(*, request: RecommendationRequest) -> QuerySet[Suggestion]:
    """Return the suggestions by rank, without songs that the owner hid or that are no longer published."""
    return _published_suggestions(request).exclude(song__in=hidden_songs(request=request))


def hidden_suggestions(*, request: RecommendationRequest) -> QuerySet[Suggestion]:
    """Return the suggestions that ``suggestions_of`` leaves out because their songs are hidden."""
    return _published_suggestions(request).filter(song__in=hidden_songs(request=request))


def _published_suggestions(request: RecommendationRequest) -> QuerySet[Suggestion]:
    """Return the suggestions with their songs and ``release_name``, without large columns that no list shows."""
    found = request.suggestions.filter(song__status="published").select_related("song").order_by("rank")
    named = found.annotate(release_name=F("release__name"))
    return named.defer(*(f"song__{name}" for name in UNSHOWN))


def answerable_requests(*, bulk: bool) -> QuerySet[RecommendationRequest]:
    """Return a lane's requests without a post, or with an analysed one; a new post's default one comes with it."""
    analysed = Q(post__isnull=True) | Q(post__state=State.READY)
    return RecommendationRequest.objects.filter(analysed, bulk=bulk)


def newest_analysis(*, photo: PostPhoto) -> PhotoAnalysis | None:
    """Return the newest analysis of a photo; None when there is none yet."""
    return PhotoAnalysis.objects.filter(subject__in=photo.photo_subjects).order_by("-created_at", "-pk").first()


def newest_tags(*, post: Post) -> dict[UUID, list[dict[str, Any]]]:
    """Return the tags of the post's photos by their newest analyses, in one query; without photos not analysed yet."""
    newest = PhotoAnalysis.objects.order_by("-created_at", "-pk")
    if post.subject_id is not None:
        tags = newest.filter(subject=post.subject_id).values_list("tags", flat=True).first()
        return {} if tags is None else {photo.pk: tags for photo in post.photos.all()}
    of_photos = newest.filter(subject__post_photo__in=post.photos.all())
    by_photo = of_photos.order_by("subject__post_photo", *newest.query.order_by).distinct("subject__post_photo")
    return dict(by_photo.values_list("subject__post_photo", "tags"))


LONGEST_LINE = 500  # characters of a line that a suggestion stores


class Excerpt(NamedTuple):
    """A line with its neighbours; ``place`` is its index in all lines of the lyrics, from 0."""

    text: str
    place: int
    before: list[str]
    after: list[str]


def _nearest(place: int, *, among: int) -> Iterator[int]:
    """Yield the place itself, which is the one nearly always, and then all places by their distance from it."""
    yield place
    yield from sorted(range(among), key=lambda other: abs(other - place))


def excerpt(*, suggestion: Suggestion, around: int = 2) -> Excerpt | None:
    """Return the suggested line with up to ``around`` sung lines on each side; None when there is none.

    When the lyrics were edited since, searches the line in them and returns it as it is written now; None when it is
    no longer there.
    """
    suggested = suggestion.line_index
    if suggested is None or not suggestion.line:
        return None
    lines = suggestion.song.lyrics.split("\n")
    wanted = comparison_key(sung_part(suggestion.line))

    def is_wanted(place: int) -> bool:
        return place < len(lines) and comparison_key(sung_part(lines[place])[:LONGEST_LINE]) == wanted

    index = next(filter(is_wanted, _nearest(suggested, among=len(lines))), None) if wanted else None
    if index is None:
        return None
    before = list(islice(filter(None, map(sung_part, reversed(lines[:index]))), around))[::-1]
    after = list(islice(filter(None, map(sung_part, lines[index + 1 :])), around))
    return Excerpt(sung_part(lines[index]), index, before, after)
