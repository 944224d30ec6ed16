"""A person's taste: read it, turn it on or off, forget it."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Scope
from ..selectors.taste import taste_of, taste_songs
from ..services.taste import reset, set_enabled
from .base import ApiView, person
from .problem import problems
from .schema import operation
from .serializers import TasteSerializer, TasteSwitchSerializer
from .throttles import ReadThrottle


class TasteProfile(ApiView):
    scopes = {"GET": Scope.FEEDBACK_READ, "PATCH": Scope.FEEDBACK_WRITE, "DELETE": Scope.FEEDBACK_WRITE}
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readTaste", responses={200: TasteSerializer})
    def get(self, request: Request) -> Response:
        """Your taste: the songs that you chose and skipped."""
        taste = taste_of(user=person(request))
        chosen, skipped = taste_songs(user=person(request))
        profile = {
            "offered": taste is not None,
            "enabled": taste is not None and taste.enabled,
            "since": taste and taste.since,
            "chosen": chosen,
            "skipped": skipped,
        }
        return Response(TasteSerializer(profile, context={"request": request}).data)

    @operation(
        operation_id="switchTaste",
        request=TasteSwitchSerializer,
        responses={200: TasteSerializer, **problems(409)},
    )
    def patch(self, request: Request) -> Response:
        """Turn your taste off, so that your choices do not count in your suggestions, or on again."""
        form = TasteSwitchSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        set_enabled(user=person(request), enabled=form.validated_data["enabled"])
        return self.get(request)

    @operation(operation_id="forgetTaste", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Forget your taste: nothing that you chose or skipped before counts any more."""
        reset(user=person(request))
        return Response(status=204)
