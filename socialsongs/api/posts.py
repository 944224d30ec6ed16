"""Post a photo, poll, ask for other songs, choose one, tell what people did with the suggestions."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.db import transaction
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..bodies import photo_bytes
from ..conf import config
from ..models import Post, PostAccess, PostPhoto, RecommendationRequest, State, Suggestion, Thumbnail
from ..selectors.posts import (
    default_request,
    find_post,
    find_request,
    manages_post,
    own_posts,
    state_of,
    suggestions_of,
)
from ..services.access import note_reads
from ..services.feedback import choose_song, clear_choice, log_impressions, record_feedback, show_hidden
from ..services.posts import create_post, delete_post, retry_post
from ..services.recommendation_requests import request_recommendations, wait_for_answer
from ..services.thumbnails import thumbnail
from .base import (
    ApiView,
    FeedbackThrottle,
    Json,
    Newest,
    ReadThrottle,
    RequestThrottle,
    UploadThrottle,
    media,
    person,
)
from .problem import problems
from .schema import BYTES, location, operation, retry_after
from .serializers import (
    ChoiceSerializer,
    FeedbackSerializer,
    NewPostSerializer,
    PostSerializer,
    PostSummarySerializer,
    RecommendationParametersSerializer,
    RecommendationsSerializer,
    RecordedSerializer,
)

POLL_SECONDS = 1
WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\"?)(\d{1,99})\1\s*(?:[,;]|$)", re.ASCII | re.IGNORECASE)
RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[,;]|$)", re.IGNORECASE)


def answer(request: Request, post: Post, status: int = 200) -> Response:
    """The post as this person may see it; Retry-After while work is under way."""
    manages = manages_post(user=request.user, post=post)
    asked = default_request(post=post) if manages and post.state == State.READY else None
    shown = None if asked is None else list(suggestions_of(request=asked))
    context = {"request": request, "manages": manages, "asked": asked, "shown": shown}
    response = Response(PostSerializer(post, context=context).data, status=status)
    if post.state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    note_shown(request, post, asked, shown)
    return response


def recommendations(request: Request, asked: RecommendationRequest) -> Response:
    """A request with its answer; Retry-After until there is one."""
    shown = list(suggestions_of(request=asked)) if asked.state == State.READY else None
    response = Response(RecommendationsSerializer(asked, context={"request": request, "shown": shown}).data)
    state, _ = state_of(request=asked)
    if state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    note_shown(request, asked.post, asked, shown)  # type: ignore[arg-type]  # find_asked gives those with a post
    return response


def note_shown(
    request: Request, post: Post, asked: RecommendationRequest | None, shown: list[Suggestion] | None
) -> None:
    """That the owner sees these songs; who asks with HEAD sees none."""
    if asked is not None and shown is not None and post.owner_id == request.user.pk and request.method != "HEAD":
        log_impressions(request=asked, shown=shown, user=person(request))


def find(request: Request, post_id: uuid.UUID, door: PostAccess.Door = PostAccess.Door.API) -> Post:
    """A post this person may know of, or 404; a look at somebody else's private one is noted."""
    post = find_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404
    note_reads(reader=person(request), posts=[post], door=door)
    return post


def find_own(request: Request, post_id: uuid.UUID) -> Post:
    """The person's own post, or 404: what others do not own does not exist for them."""
    return get_object_or_404(own_posts(user=request.user), pk=post_id)


def find_asked(request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> RecommendationRequest:
    """A request for a post that this person manages, or 404; noted as a look at the post."""
    asked = find_request(user=request.user, post_id=post_id, request_id=request_id)
    if asked is None or asked.post is None:
        raise Http404
    note_reads(reader=person(request), posts=[asked.post], door=PostAccess.Door.API)
    return asked


def patience(request: Request) -> float:
    """For how many seconds an answer may be waited for, by the header Prefer (RFC 7240) and the site's own limit."""
    prefer = request.headers.get("Prefer", "")
    if wait := WAIT.search(prefer):
        return min(float(wait[2]), config().ANSWER_SECONDS)
    return 0.0 if RESPOND_ASYNC.search(prefer) else config().ANSWER_SECONDS


class Posts(ApiView):
    parser_classes = [MultiPartParser]
    pagination_class = Newest

    @property
    def most_bytes(self) -> int:
        return photo_bytes()

    def get_throttles(self) -> list[Any]:
        return [UploadThrottle()] if self.request.method == "POST" else [ReadThrottle()]

    @operation(
        operation_id="createPost",
        request={"multipart/form-data": NewPostSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "maxLength": 255},
                OpenApiParameter.HEADER,
                description="Up to 255 characters. A retry with the same key and body gives the first post.",
            ),
            location(202),
            retry_after(202),
        ],
        responses={202: PostSerializer, **problems(409, 422)},
    )
    def post(self, request: Request) -> Response:
        """Post one or more photos.

        Answers at once with the queued post; poll `Location` until `state` is `ready` or `failed`.
        """
        form = NewPostSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > 255:
            raise ValidationError({"Idempotency-Key": ["At most 255 characters."]})
        if not key.isprintable():
            raise ValidationError({"Idempotency-Key": ["Control characters are not allowed."]})
        values = form.validated_data
        post, _ = create_post(
            owner=person(request),
            uploads=values["photos"],
            caption=values["caption"],
            visibility=values["visibility"],
            idempotency_key=key,
        )
        response = answer(request, find_own(request, post.pk), status=202)
        response["Location"] = response.data["url"]
        return response

    @operation(operation_id="listPosts", responses={200: PostSummarySerializer(many=True)})
    def get(self, request: Request) -> Response:
        """Your posts, newest first."""
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(own_posts(user=request.user), request, view=self)
        return paginator.get_paginated_response(
            PostSummarySerializer(page, many=True, context={"request": request}).data
        )


class PostDetail(ApiView):
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readPost", parameters=[retry_after(200)], responses={200: PostSerializer})
    def get(self, request: Request, post_id: uuid.UUID) -> Response:
        """State, tags and suggestions of a post."""
        return answer(request, find(request, post_id))

    @operation(operation_id="deletePost", responses={204: None})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Delete your post with its photos and suggestions. What was done with them stays, as nobody's."""
        delete_post(post=find_own(request, post_id))
        return Response(status=204)


class PostRetry(ApiView):
    throttle_classes = [UploadThrottle]

    @operation(
        operation_id="retryPost",
        request=None,
        parameters=[retry_after(202)],
        responses={202: PostSerializer, **problems(409)},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Queue your failed post again."""
        post = find_own(request, post_id)
        retry_post(post=post)
        return answer(request, post, status=202)


class PostRecommendations(ApiView):
    throttle_classes = [RequestThrottle]

    @operation(
        operation_id="requestRecommendations",
        request=RecommendationParametersSerializer,
        parameters=[
            OpenApiParameter(
                "Prefer",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="`wait=N`: answer within N seconds, or sooner where the site waits less long. "
                "`respond-async`: answer at once.",
            ),
            location(202),
            retry_after(202, required=True),
        ],
        responses={200: RecommendationsSerializer, 202: RecommendationsSerializer, **problems(409)},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Ask for songs for your post again: other ones, or steered by a text.

        200 with the suggestions when they are there within a few seconds; else 202: poll `Location` until `state` is
        `ready` or `failed`.
        """
        post = find_own(request, post_id)
        form = RecommendationParametersSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        parameters = dict(form.validated_data)
        asked = request_recommendations(post=post, text=parameters.pop("text", ""), parameters=parameters)
        wait_for_answer(request=asked, user=person(request), seconds=patience(request))
        response = recommendations(request, find_asked(request, post_id, asked.pk))
        if "Retry-After" in response:
            response.status_code = 202
            response["Location"] = response.data["url"]
        return response


class PostRecommendation(ApiView):
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="readRecommendations",
        parameters=[retry_after(200)],
        responses={200: RecommendationsSerializer},
    )
    def get(self, request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> Response:
        """A request for songs, and its suggestions."""
        return recommendations(request, find_asked(request, post_id, request_id))


class PostPhotoFile(ApiView):
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="readPhoto",
        parameters=[
            OpenApiParameter(
                "side",
                OpenApiTypes.INT,
                enum=Thumbnail.Side.values,
                description="A thumbnail instead, as WebP: a square from the photo's middle, so many pixels wide.",
            )
        ],
        responses={(200, "image/jpeg"): BYTES, (200, "image/webp"): BYTES, 304: None},
    )
    def get(self, request: Request, post_id: uuid.UUID, position: int) -> HttpResponseBase:
        """A photo of a post, as JPEG."""
        photo = get_object_or_404(PostPhoto, post=find(request, post_id, PostAccess.Door.PHOTO), position=position)
        side = self.side(request)
        etag = f'"{photo.pk}-{side or "photo"}"'  # a stored photo never changes
        response = get_conditional_response(request, etag=etag) or self.file(photo, side)
        response["ETag"] = etag
        return media(response)

    def side(self, request: Request) -> int | None:
        asked = request.query_params.get("side")
        if asked is None:
            return None
        if asked not in map(str, Thumbnail.Side.values):
            raise ValidationError({"side": [f"Ask for one of {', '.join(map(str, Thumbnail.Side.values))}."]})
        return int(asked)

    def file(self, photo: PostPhoto, side: int | None) -> FileResponse:
        try:
            if side:
                return FileResponse(thumbnail(photo=photo, side=side), content_type="image/webp")
            return FileResponse(photo.image.storage.open(str(photo.image.name)), content_type="image/jpeg")
        except FileNotFoundError:
            raise Http404 from None


class PostChoice(ApiView):
    throttle_classes = [FeedbackThrottle]
    parser_classes = [Json, FormParser]

    @operation(
        operation_id="chooseSong",
        request=ChoiceSerializer,
        parameters=[retry_after(200)],
        responses={200: PostSerializer},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Make a published song the song of your post. Choosing again changes the choice."""
        post = find_own(request, post_id)
        form = ChoiceSerializer(data=request.data, context={"post": post})
        form.is_valid(raise_exception=True)
        values = form.validated_data
        choose_song(post=post, user=person(request), song_id=values["song"], request=values.get("request"))
        return answer(request, post)

    @operation(operation_id="clearChoice", responses={204: None})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Take the song away again."""
        clear_choice(post=find_own(request, post_id))
        return Response(status=204)


class PostFeedback(ApiView):
    throttle_classes = [FeedbackThrottle]

    @operation(
        operation_id="giveFeedback",
        request=FeedbackSerializer,
        responses={200: RecordedSerializer, **problems(422)},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Tell what you did with suggested songs: all events are noted, or none. One that is told twice counts once."""
        post = find_own(request, post_id)
        form = FeedbackSerializer(data=request.data, context={"post": post})
        form.is_valid(raise_exception=True)
        with transaction.atomic():
            told = [
                record_feedback(
                    post=post,
                    user=person(request),
                    song_id=event["song"],
                    kind=event["kind"],
                    request=event.get("request"),
                )
                for event in form.validated_data["events"]
            ]
        return Response({"recorded": told.count(True), "known": told.count(False)})


class HiddenSong(ApiView):
    throttle_classes = [FeedbackThrottle]

    @operation(operation_id="showHiddenSong", responses={204: None})
    def delete(self, request: Request, post_id: uuid.UUID, song_id: uuid.UUID) -> Response:
        """Take back that you hid a song: it is in the post's lists again. One that you did not hide stays as it is."""
        show_hidden(post=find_own(request, post_id), user=person(request), song_ids=[song_id])
        return Response(status=204)
