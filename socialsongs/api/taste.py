"""Whether somebody's own choices count in what is suggested to them: see it, turn it off, forget it."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..selectors.taste import taste_of, taste_songs
from ..services.taste import reset, set_enabled
from .base import ApiView, ReadThrottle, person
from .problem import problems
from .schema import operation
from .serializers import TasteSerializer, TasteSwitchSerializer


class TasteProfile(ApiView):
    throttle_classes = [ReadThrottle]

    @operation(operation_id="readTaste", responses={200: TasteSerializer})
    def get(self, request: Request) -> Response:
        """What is known of your taste: the songs that you chose and skipped."""
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
        """Turn off that your choices count in what is suggested to you, or on again."""
        form = TasteSwitchSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        set_enabled(user=person(request), enabled=form.validated_data["enabled"])
        return self.get(request)

    @operation(operation_id="forgetTaste", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Start anew: nothing counts any more that you chose or skipped up to now."""
        reset(user=person(request))
        return Response(status=204)
