"""Posts: upload, list, poll, retry, delete; their photos."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..bodies import photo_bytes
from ..database import atomic
from ..intake import IntakeError
from ..models import Post, PostAccess, PostPhoto, RecommendationRequest, Scope, State, Suggestion, Thumbnail
from ..policy import policy
from ..selectors.posts import (
    default_request,
    find_managed_post,
    find_post,
    newest_tags,
    own_posts,
    suggestions_of,
)
from ..services.access import record_access
from ..services.feedback import record_impressions
from ..services.photo_files import open_photo, photo_version
from ..services.posts import create_post, delete_post, retry_post, wait_for_analysis
from ..services.thumbnails import thumbnail
from .base import AnyAccept, ApiView, media, person
from .idempotency import key_of, once_of
from .kept_answers import Attempt, RenderedJson, attempt
from .pagination import PARAMETERS, Newest
from .preferences import PREFER, preference_applied, preference_of
from .problem import problems
from .schema import BYTES, location, operation, retry_after
from .serializers import (
    NewPostSerializer,
    PostSerializer,
    PostSummarySerializer,
)
from .throttles import ReadThrottle, UploadThrottle

POLL_SECONDS = 1


def answer(request: Request, post: Post, status: int = 200, known: Attempt | None = None) -> Response:
    """Answer with the parts of a post that the person may see; Retry-After while work goes on.

    ``known``: keep the answer there, unless the next one may have to record an impression.
    """
    manages = policy().may_view_suggestions(user=request.user, post=post)
    asked = default_request(post=post) if manages and post.state == State.READY else None
    shown = None if asked is None else list(suggestions_of(request=asked))
    tags = newest_tags(post=post) if manages else {}
    context = {"request": request, "asked": asked, "shown": shown, "tags": tags}
    data: Any = PostSerializer(post, context=context).data
    if known is not None and (asked is None or asked.shown_at is not None):
        data = known.keep(post=post, sees_suggestions=manages, data=data)
    response = Response(data, status=status)
    if post.state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    record_shown(request, asked, shown)
    return response


def record_shown(request: Request, asked: RecommendationRequest | None, shown: list[Suggestion] | None) -> None:
    """Record impressions when the list is the person's own; HEAD gets none."""
    if asked is None or shown is None or request.method == "HEAD":
        return
    user = person(request)
    own = asked.owner_id == user.pk if asked.post is None else policy().is_poster(user=user, post=asked.post)
    if own:
        record_impressions(request=asked, shown=shown, user=person(request))


def find(request: Request, post_id: uuid.UUID, door: PostAccess.Door = PostAccess.Door.API) -> Post:
    """Return a post that the person may see, or raise 404; records access to private posts of others."""
    post = find_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404
    record_access(reader=person(request), posts=[post], door=door)
    return post


def find_own(request: Request, post_id: uuid.UUID) -> Post:
    """Return a post that the person may manage, or raise 404, also for other posts that they see."""
    post = find_managed_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404
    return post


class Posts(ApiView):
    scopes = {"GET": Scope.POSTS_READ, "POST": Scope.POSTS_WRITE}
    parser_classes = [MultiPartParser]
    pagination_class = Newest
    parameters = PARAMETERS

    @property
    def most_bytes(self) -> int:
        return photo_bytes()

    def get_throttles(self) -> list[Any]:
        return [UploadThrottle()] if self.request.method == "POST" else [ReadThrottle()]

    @operation(
        operation_id="createPost",
        request={"multipart/form-data": NewPostSerializer},
        parameters=[
            location(202),
            retry_after(202),
        ],
        responses={202: PostSerializer, **problems(422)},
    )
    def post(self, request: Request) -> Response:
        """Post one or more photos.

        The answer is the queued post; poll `Location` until `state` is `ready` or `failed`.
        """
        form = NewPostSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        post, _ = create_post(
            owner=person(request),
            uploads=values["photos"],
            caption=values["caption"],
            visibility=values["visibility"],
            idempotency_key=key_of(request),
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
    renderer_classes = [RenderedJson]
    scopes = {"GET": Scope.POSTS_READ, "DELETE": Scope.POSTS_WRITE}
    open_to_visitors = True
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="readPost",
        parameters=[PREFER, preference_applied(200, 304), retry_after(200, 304)],
        responses={200: PostSerializer},
    )
    def get(self, request: Request, post_id: uuid.UUID) -> Response:
        """State, tags and suggestions of a post."""
        prefer = preference_of(request, otherwise=0)
        known = attempt(request, post_id)
        if known.post is not None and known.content is not None:
            record_access(reader=person(request), posts=[known.post], door=PostAccess.Door.API)
            response = Response(known.content)
            prefer.say_applied(response, waited=False)
            return response
        post = find(request, post_id)
        waited = wait_for_analysis(post=post, user=person(request), seconds=prefer.seconds)
        if waited:
            known, found = attempt(request, post_id), find_post(user=request.user, post_id=post_id)
            if found is None:  # it is gone by now, or private
                raise Http404
            post = found
        response = answer(request, post, known=known)
        prefer.say_applied(response, waited=waited)
        return response

    @operation(operation_id="deletePost", responses={204: None, **problems(409)})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Delete your post with its photos and suggestions. Feedback stays, without your name.

        The post of a photo of the site's own is deleted with that photo: `attached_post`.
        """
        delete_post(post=find_own(request, post_id))
        return Response(status=204)


class PostRetry(ApiView):
    scopes = {"POST": Scope.POSTS_WRITE}
    throttle_classes = [UploadThrottle]

    @operation(
        operation_id="retryPost",
        request=None,
        parameters=[retry_after(202)],
        responses={202: PostSerializer},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Queue your failed post again."""
        post = find_own(request, post_id)
        with once_of(request) as attempt:
            if attempt.earlier is None:
                with atomic():
                    retry_post(post=post)
                    attempt.finish()
        return answer(request, post, status=202)


class PostPhotoFile(ApiView):
    scopes = {"GET": Scope.POSTS_READ}
    parameters = ("side",)
    conditional = False
    content_negotiation_class = AnyAccept
    open_to_visitors = True
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="readPhoto",
        parameters=[
            OpenApiParameter(
                "side",
                OpenApiTypes.INT,
                enum=Thumbnail.Side.values,
                description="A square thumbnail from the photo's middle as WebP, with this side in pixels.",
            )
        ],
        responses={(200, "image/jpeg"): BYTES, (200, "image/webp"): BYTES, 304: None},
    )
    def get(self, request: Request, post_id: uuid.UUID, position: int) -> HttpResponseBase:
        """A photo of a post, as JPEG; with `side`, a thumbnail, as WebP."""
        post = find(request, post_id, PostAccess.Door.PHOTO)
        photo = get_object_or_404(post.photos.select_related("post__subject"), position=position)
        side = self.side(request)
        etag = f'"{photo_version(photo=photo)}-{side or "photo"}"'
        response = get_conditional_response(request, etag=etag) or self.file(photo, side)
        response["ETag"] = etag
        return media(response)

    def side(self, request: Request) -> int | None:
        asked = request.query_params.get("side")
        if asked is None:
            return None
        if asked not in map(str, Thumbnail.Side.values):
            raise ValidationError(
                {"side": [_("Give one of %(sides)s.") % {"sides": ", ".join(map(str, Thumbnail.Side.values))}]}
            )
        return int(asked)

    def file(self, photo: PostPhoto, side: int | None) -> FileResponse:
        try:
            if side:
                return FileResponse(thumbnail(photo=photo, side=side), content_type="image/webp")
            return FileResponse(open_photo(photo=photo), content_type="image/jpeg")
        except (FileNotFoundError, IntakeError):  # the second: an attached file that is no photo
            raise Http404 from None
