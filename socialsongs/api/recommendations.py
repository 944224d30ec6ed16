"""Requests for songs beside the default one: for a post, perhaps steered by a text, and for a text alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from ..conf import config
from ..database import atomic
from ..models import PostAccess, RecommendationRequest, Scope, State
from ..selectors.posts import find_request, find_text_request, state_of, suggestions_of
from ..services.access import record_access
from ..services.feedback import record_text_feedback, undo_text_hide
from ..services.recommendation_requests import (
    delete_text_request,
    request_for_text,
    request_recommendations,
    wait_for_answer,
)
from .base import ApiView, person
from .feedback import recorded_and_known
from .idempotency import answer_once, once_of
from .posts import POLL_SECONDS, find_own, record_shown
from .preferences import PREFER, preference_applied, preference_of
from .problem import problems
from .schema import location, operation, retry_after
from .serializers import (
    RecommendationParametersSerializer,
    RecommendationsSerializer,
    RecordedSerializer,
    TextFeedbackSerializer,
    TextParametersSerializer,
)
from .throttles import FeedbackThrottle, ReadThrottle, RequestThrottle

Find = Callable[[uuid.UUID], RecommendationRequest]

NEW = {
    "parameters": [PREFER, location(202), preference_applied(200, 202), retry_after(202, required=True)],
    "responses": {200: RecommendationsSerializer, 202: RecommendationsSerializer},
}
READ = {
    "parameters": [PREFER, preference_applied(200, 304), retry_after(200, 304)],
    "responses": {200: RecommendationsSerializer},
}


def recommendations(request: Request, asked: RecommendationRequest) -> Response:
    """Answer with a request and its suggestions; Retry-After until there are any. Records the owner's impressions."""
    shown = list(suggestions_of(request=asked)) if asked.state == State.READY else None
    response = Response(RecommendationsSerializer(asked, context={"request": request, "shown": shown}).data)
    state, _ = state_of(request=asked)
    if state in (State.QUEUED, State.ANALYSING):
        response["Retry-After"] = str(POLL_SECONDS)
    record_shown(request, asked, shown)
    return response


def new_recommendations(request: Request, *, create: Callable[[], RecommendationRequest], find: Find) -> Response:
    """Create a request once, wait for its suggestions as long as the client and the site want, and answer with it."""
    with once_of(request) as attempt:
        if attempt.earlier is not None and attempt.earlier.request is not None:
            asked = attempt.earlier.request
        else:
            with atomic():
                asked = create()
                attempt.finish(request=asked)
    prefer = preference_of(request, otherwise=config().ANSWER_SECONDS)
    waited = wait_for_answer(request=asked, user=person(request), seconds=prefer.seconds)
    response = recommendations(request, find(asked.pk))
    prefer.say_applied(response, waited=waited)
    if "Retry-After" in response:
        response.status_code = 202
        response["Location"] = response.data["url"]
    return response


def known_recommendations(request: Request, *, asked: RecommendationRequest, find: Find) -> Response:
    """Answer with a request that was created before; wait for its suggestions only when the client wants that."""
    prefer = preference_of(request, otherwise=0)
    waited = wait_for_answer(request=asked, user=person(request), seconds=prefer.seconds)
    response = recommendations(request, find(asked.pk) if waited else asked)
    prefer.say_applied(response, waited=waited)
    return response


def find_asked(request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> RecommendationRequest:
    """Return a request for a post that the person manages, or raise 404."""
    asked = find_request(user=request.user, post_id=post_id, request_id=request_id)
    if asked is None or asked.post is None:
        raise Http404
    return asked


def find_text(request: Request, request_id: uuid.UUID) -> RecommendationRequest:
    """Return a request for a text that the person sent, or raise 404."""
    asked = find_text_request(user=request.user, request_id=request_id)
    if asked is None:
        raise Http404
    return asked


class PostRecommendations(ApiView):
    scopes = {"POST": Scope.POSTS_WRITE}
    throttle_classes = [RequestThrottle]

    @operation(operation_id="requestRecommendations", request=RecommendationParametersSerializer, **NEW)
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Request other songs for your post, for example steered by a text.

        200 with the suggestions when they are ready within a few seconds; else 202: poll `Location` until `state` is
        `ready` or `failed`.
        """
        post = find_own(request, post_id)
        form = RecommendationParametersSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        parameters = dict(form.validated_data)
        text = parameters.pop("text", "")
        return new_recommendations(
            request,
            create=lambda: request_recommendations(post=post, text=text, parameters=parameters),
            find=lambda pk: find_asked(request, post_id, pk),
        )


class PostRecommendation(ApiView):
    scopes = {"GET": Scope.POSTS_READ}
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readRecommendations", **READ)
    def get(self, request: Request, post_id: uuid.UUID, request_id: uuid.UUID) -> Response:
        """A request with its suggestions."""
        asked = find_asked(request, post_id, request_id)
        if asked.post is not None:
            record_access(reader=person(request), posts=[asked.post], door=PostAccess.Door.API)
        return known_recommendations(request, asked=asked, find=lambda pk: find_asked(request, post_id, pk))


class TextRecommendations(ApiView):
    scopes = {"POST": Scope.POSTS_WRITE}
    throttle_classes = [RequestThrottle]

    @operation(operation_id="requestSongsForText", request=TextParametersSerializer, **NEW)
    def post(self, request: Request) -> Response:
        """Request songs for a text, without photos. Only you see the request.

        200 with the suggestions when they are ready within a few seconds; else 202: poll `Location` until `state` is
        `ready` or `failed`.
        """
        form = TextParametersSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        parameters = dict(form.validated_data)
        text = parameters.pop("text")
        return new_recommendations(
            request,
            create=lambda: request_for_text(owner=person(request), text=text, parameters=parameters),
            find=lambda pk: find_text(request, pk),
        )


class TextRecommendation(ApiView):
    scopes = {"GET": Scope.POSTS_READ, "DELETE": Scope.POSTS_WRITE}
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readSongsForText", **READ)
    def get(self, request: Request, request_id: uuid.UUID) -> Response:
        """A request for a text with its suggestions."""
        asked = find_text(request, request_id)
        return known_recommendations(request, asked=asked, find=lambda pk: find_text(request, pk))

    @operation(operation_id="deleteSongsForText", responses={204: None})
    def delete(self, request: Request, request_id: uuid.UUID) -> Response:
        """Delete your text with its suggestions. Feedback stays, without your name."""
        delete_text_request(request=find_text(request, request_id))
        return Response(status=204)


class TextFeedback(ApiView):
    scopes = {"POST": Scope.FEEDBACK_WRITE}
    throttle_classes = [FeedbackThrottle]

    @operation(
        operation_id="giveFeedbackOnText",
        request=TextFeedbackSerializer,
        responses={200: RecordedSerializer, **problems(422)},
    )
    def post(self, request: Request, request_id: uuid.UUID) -> Response:
        """Send what you did with songs for a text: all events are recorded, or none; repeated ones count once."""
        asked = find_text(request, request_id)
        form = TextFeedbackSerializer(data=request.data)
        form.is_valid(raise_exception=True)

        def record(event: dict[str, Any]) -> bool:
            return record_text_feedback(request=asked, user=person(request), song_id=event["song"], kind=event["kind"])

        return answer_once(request, lambda: recorded_and_known(map(record, form.validated_data["events"])))


class HiddenSongOfText(ApiView):
    scopes = {"DELETE": Scope.FEEDBACK_WRITE}
    throttle_classes = [FeedbackThrottle]

    @operation(operation_id="showHiddenSongOfText", responses={204: None})
    def delete(self, request: Request, request_id: uuid.UUID, song_id: uuid.UUID) -> Response:
        """Show a song again that you hid in the list of your text; no effect on other songs."""
        undo_text_hide(request=find_text(request, request_id), user=person(request), song_id=song_id)
        return Response(status=204)
