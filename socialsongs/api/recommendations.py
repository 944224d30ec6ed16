"""Further requests for a post: other songs, or songs that a text steers."""

from __future__ import annotations

import re
import uuid

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..conf import config
from ..database import atomic
from ..models import PostAccess, RecommendationRequest, Scope, State
from ..selectors.posts import find_request, state_of, suggestions_of
from ..services.access import record_access
from ..services.recommendation_requests import request_recommendations, wait_for_answer
from .base import ApiView, person
from .idempotency import once_of
from .posts import POLL_SECONDS, find_own, record_shown
from .schema import location, operation, retry_after
from .serializers import RecommendationParametersSerializer, RecommendationsSerializer
from .throttles import ReadThrottle, RequestThrottle

WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\"?)(\d{1,99})\1\s*(?:[,;]|$)", re.ASCII | re.IGNORECASE)
RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[,;]|$)", re.IGNORECASE)


def recommendations(request: Request, asked: RecommendationRequest) -> Response:
    """Answer with a request and its suggestions; Retry-After until there are any."""
    shown = list(suggestions_of(request=asked)) if asked.state == State.READY else None
    response = Response(RecommendationsSerializer(asked, context={"request": request, "shown": shown}).data)
    state, _ = state_of(request=asked)
    if state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    record_shown(request, asked.post, asked, shown)  # type: ignore[arg-type]  # find_asked returns requests with a post
    return response


def find_asked(request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> RecommendationRequest:
    """Return a request for a post that the person manages, or raise 404; records access as ``find`` does."""
    asked = find_request(user=request.user, post_id=post_id, request_id=request_id)
    if asked is None or asked.post is None:
        raise Http404
    record_access(reader=person(request), posts=[asked.post], door=PostAccess.Door.API)
    return asked


def patience(request: Request) -> float:
    """Return how many seconds the client waits, by the header Prefer (RFC 7240) and the site's limit."""
    prefer = request.headers.get("Prefer", "")
    if wait := WAIT.search(prefer):
        return min(float(wait[2]), config().ANSWER_SECONDS)
    return 0.0 if RESPOND_ASYNC.search(prefer) else config().ANSWER_SECONDS


class PostRecommendations(ApiView):
    scopes = {"POST": Scope.POSTS_WRITE}
    throttle_classes = [RequestThrottle]

    @operation(
        operation_id="requestRecommendations",
        request=RecommendationParametersSerializer,
        parameters=[
            OpenApiParameter(
                "Prefer",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="`wait=N`: wait up to N seconds for the suggestions, at most as long as the site allows. "
                "`respond-async`: do not wait.",
            ),
            location(202),
            retry_after(202, required=True),
        ],
        responses={200: RecommendationsSerializer, 202: RecommendationsSerializer},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Request other songs for your post, for example steered by a text.

        200 with the suggestions when they are ready within a few seconds; else 202: poll `Location` until `state` is
        `ready` or `failed`.
        """
        post = find_own(request, post_id)
        form = RecommendationParametersSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        parameters = dict(form.validated_data)
        with once_of(request) as attempt:
            if attempt.earlier is not None and attempt.earlier.request is not None:
                asked = attempt.earlier.request
            else:
                with atomic():
                    text = parameters.pop("text", "")
                    asked = request_recommendations(post=post, text=text, parameters=parameters)
                    attempt.finish(request=asked)
        wait_for_answer(request=asked, user=person(request), seconds=patience(request))
        response = recommendations(request, find_asked(request, post_id, asked.pk))
        if "Retry-After" in response:
            response.status_code = 202
            response["Location"] = response.data["url"]
        return response


class PostRecommendation(ApiView):
    scopes = {"GET": Scope.POSTS_READ}
    throttle_classes = [ReadThrottle]

    @operation(
        operation_id="readRecommendations",
        parameters=[retry_after(200)],
        responses={200: RecommendationsSerializer},
    )
    def get(self, request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> Response:
        """A request with its suggestions."""
        return recommendations(request, find_asked(request, post_id, request_id))
