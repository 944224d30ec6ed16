"""Post a photo, poll, choose a song, tell what people did with the suggestions."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Post, PostPhoto, State
from ..selectors.posts import manages_post, own_posts, visible_posts
from ..services.feedback import choose_song, clear_choice, record_feedback
from ..services.posts import create_post, delete_post, retry_post
from .base import ApiView, FeedbackThrottle, Newest, ReadThrottle, UploadThrottle
from .problem import ProblemSerializer
from .serializers import (
    ChoiceSerializer,
    FeedbackSerializer,
    NewPostSerializer,
    PostSerializer,
    PostSummarySerializer,
    RecordedSerializer,
)

if TYPE_CHECKING:
    from ..people import Person

POLL_SECONDS = 1
PROBLEM = OpenApiResponse(ProblemSerializer, description="application/problem+json")


def answer(request: Request, post: Post, status: int = 200) -> Response:
    """The post as this person may see it; Retry-After while work is under way."""
    context = {"request": request, "manages": manages_post(user=request.user, post=post)}
    response = Response(PostSerializer(post, context=context).data, status=status)
    if post.state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    return response


def person(request: Request) -> Person:
    """Who asks; IsAuthenticated has let nobody else through."""
    return cast("Person", request.user)


def find(request: Request, post_id: uuid.UUID) -> Post:
    """A post this person may know of, or 404."""
    return get_object_or_404(visible_posts(user=request.user), pk=post_id)


def find_own(request: Request, post_id: uuid.UUID) -> Post:
    """The person's own post, or 404: what others do not own does not exist for them."""
    return get_object_or_404(own_posts(user=request.user), pk=post_id)


class Posts(ApiView):
    parser_classes = [MultiPartParser]

    def get_throttles(self) -> list[Any]:
        return [UploadThrottle()] if self.request.method == "POST" else [ReadThrottle()]

    @extend_schema(
        operation_id="createPost",
        request={"multipart/form-data": NewPostSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="Up to 255 characters. A retry with the same key and body gives the first post.",
            )
        ],
        responses={
            202: PostSerializer,
            400: PROBLEM,
            401: PROBLEM,
            409: PROBLEM,
            413: PROBLEM,
            422: PROBLEM,
            429: PROBLEM,
        },
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

    @extend_schema(
        operation_id="listPosts", responses={200: PostSummarySerializer(many=True), 401: PROBLEM, 429: PROBLEM}
    )
    def get(self, request: Request) -> Response:
        """Your posts, newest first."""
        paginator = Newest()
        page = paginator.paginate_queryset(own_posts(user=request.user), request, view=self)
        return paginator.get_paginated_response(
            PostSummarySerializer(page, many=True, context={"request": request}).data
        )


class PostDetail(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(operation_id="readPost", responses={200: PostSerializer, 401: PROBLEM, 404: PROBLEM, 429: PROBLEM})
    def get(self, request: Request, post_id: uuid.UUID) -> Response:
        """State, tags and suggestions of a post."""
        return answer(request, find(request, post_id))

    @extend_schema(operation_id="deletePost", responses={204: None, 401: PROBLEM, 404: PROBLEM})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Delete your post with its photos, suggestions and feedback."""
        delete_post(post=find_own(request, post_id))
        return Response(status=204)


class PostRetry(ApiView):
    throttle_classes = [UploadThrottle]

    @extend_schema(
        operation_id="retryPost",
        request=None,
        responses={202: PostSerializer, 401: PROBLEM, 404: PROBLEM, 409: PROBLEM},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Queue your failed post again."""
        post = find_own(request, post_id)
        retry_post(post=post)
        return answer(request, post, status=202)


class PostPhotoFile(ApiView):
    throttle_classes = [ReadThrottle]

    @extend_schema(
        operation_id="readPhoto",
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY, 401: PROBLEM, 404: PROBLEM},
    )
    def get(self, request: Request, post_id: uuid.UUID, position: int) -> FileResponse:
        """A photo of a post, as JPEG."""
        photo = get_object_or_404(PostPhoto, post=find(request, post_id), position=position)
        try:
            file = photo.image.storage.open(str(photo.image.name))
        except FileNotFoundError:
            raise Http404 from None
        response = FileResponse(file, content_type="image/jpeg")
        response["Cache-Control"] = "private, max-age=86400"
        response["X-Content-Type-Options"] = "nosniff"
        return response


class PostChoice(ApiView):
    throttle_classes = [FeedbackThrottle]
    parser_classes = [JSONParser, FormParser]

    @extend_schema(
        operation_id="chooseSong",
        request=ChoiceSerializer,
        responses={200: PostSerializer, 400: PROBLEM, 401: PROBLEM, 404: PROBLEM},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Make a published song the song of your post. Choosing again changes the choice."""
        post = find_own(request, post_id)
        form = ChoiceSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        choose_song(post=post, user=person(request), song_id=form.validated_data["song"])
        return answer(request, post)

    @extend_schema(operation_id="clearChoice", responses={204: None, 401: PROBLEM, 404: PROBLEM})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Take the song away again."""
        clear_choice(post=find_own(request, post_id))
        return Response(status=204)


class PostFeedback(ApiView):
    throttle_classes = [FeedbackThrottle]
    parser_classes = [JSONParser]

    @extend_schema(
        operation_id="giveFeedback",
        request=FeedbackSerializer,
        responses={200: RecordedSerializer, 400: PROBLEM, 401: PROBLEM, 404: PROBLEM, 422: PROBLEM},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Tell what you did with suggested songs. An event that is told twice counts once."""
        post = find_own(request, post_id)
        form = FeedbackSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        told = [
            record_feedback(post=post, user=person(request), song_id=event["song"], kind=event["kind"])
            for event in form.validated_data["events"]
        ]
        return Response({"recorded": told.count(True), "known": told.count(False)})
