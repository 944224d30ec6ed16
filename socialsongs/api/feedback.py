"""What a person does with suggested songs: choose, play, skip, hide."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..database import atomic
from ..models import Scope
from ..services.feedback import choose_song, clear_choice, record_feedback, undo_hide
from .base import ApiView, Json, person
from .idempotency import answer_once, once_of
from .posts import answer, find_own
from .problem import problems
from .schema import operation, retry_after
from .serializers import ChoiceSerializer, FeedbackSerializer, PostSerializer, RecordedSerializer
from .throttles import FeedbackThrottle


class PostChoice(ApiView):
    scopes = {"POST": Scope.FEEDBACK_WRITE, "DELETE": Scope.FEEDBACK_WRITE}
    throttle_classes = [FeedbackThrottle]
    parser_classes = [Json, FormParser]

    @operation(
        operation_id="chooseSong",
        request=ChoiceSerializer,
        parameters=[retry_after(200)],
        responses={200: PostSerializer},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Choose a published song for your post; it takes the place of an earlier choice."""
        post = find_own(request, post_id)
        form = ChoiceSerializer(data=request.data, context={"post": post})
        form.is_valid(raise_exception=True)
        values = form.validated_data
        with once_of(request) as attempt:
            if attempt.earlier is None:
                with atomic():
                    choose_song(post=post, user=person(request), song_id=values["song"], request=values.get("request"))
                    attempt.finish()
        return answer(request, post)

    @operation(operation_id="clearChoice", responses={204: None})
    def delete(self, request: Request, post_id: uuid.UUID) -> Response:
        """Remove the chosen song from your post."""
        clear_choice(post=find_own(request, post_id))
        return Response(status=204)


class PostFeedback(ApiView):
    scopes = {"POST": Scope.FEEDBACK_WRITE}
    throttle_classes = [FeedbackThrottle]

    @operation(
        operation_id="giveFeedback",
        request=FeedbackSerializer,
        responses={200: RecordedSerializer, **problems(422)},
    )
    def post(self, request: Request, post_id: uuid.UUID) -> Response:
        """Send what you did with suggested songs: all events are recorded, or none; repeated ones count once."""
        post = find_own(request, post_id)
        form = FeedbackSerializer(data=request.data, context={"post": post})
        form.is_valid(raise_exception=True)

        def record(event: dict[str, Any]) -> bool:
            return record_feedback(
                post=post,
                user=person(request),
                song_id=event["song"],
                kind=event["kind"],
                request=event.get("request"),
            )

        return answer_once(request, lambda: recorded_and_known(map(record, form.validated_data["events"])))


def recorded_and_known(recorded: Iterable[bool]) -> dict[str, int]:
    """Return how many events are new (True), and how many were recorded before."""
    found = Counter(recorded)
    return {"recorded": found[True], "known": found[False]}


class HiddenSong(ApiView):
    scopes = {"DELETE": Scope.FEEDBACK_WRITE}
    throttle_classes = [FeedbackThrottle]

    @operation(operation_id="showHiddenSong", responses={204: None})
    def delete(self, request: Request, post_id: uuid.UUID, song_id: uuid.UUID) -> Response:
        """Show a song again that you hid in the post's lists; no effect on other songs."""
        undo_hide(post=find_own(request, post_id), song_ids=[song_id])
        return Response(status=204)
