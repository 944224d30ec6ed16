"""The catalogue in bulk, by the ids that the songs have in their source; for staff and API clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..conf import MIB
from ..models import ApiClient, ApiKey, Scope
from ..selectors.permissions import permitted
from ..services.bulk_songs import Result, set_status_by_id, upsert_songs
from .base import ApiView
from .idempotency import answer_once
from .schema import operation
from .serializers import (
    BulkResultsSerializer,
    BulkSongsSerializer,
    BulkStatusSerializer,
    StatusResultsSerializer,
)
from .throttles import CatalogueThrottle


class MayWriteSongs(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the person may add and change songs; API keys need the scope instead."""
        return all(permitted(user=request.user, permission=right) for right in ("add_song", "change_song"))


class BulkView(ApiView):
    scopes = {"POST": Scope.SONGS_WRITE}
    needs_user = False
    more_permissions = [MayWriteSongs]
    throttle_classes = [CatalogueThrottle]


def client_of(request: Request) -> ApiClient | None:
    """Return the API client whose key sent the request; None for people with a login of the site."""
    return request.auth.client if isinstance(request.auth, ApiKey) else None


def counted(results: Sequence[Result], words: Sequence[str]) -> dict[str, Any]:
    """Return how many rows have which result, and the results."""
    counts = Counter(result.result for result in results)
    rows = [result._asdict() | {"song": result.song and str(result.song)} for result in results]
    return {**{word: counts[word] for word in words}, "results": rows}


class BulkSongs(BulkView):
    @property
    def most_bytes(self) -> int:
        return 16 * MIB

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the body here once it is known who sent it: Django would refuse one of this size."""
        super().initial(request, *args, **kwargs)
        sent = request._request
        sent._body = sent.read(self.most_bytes)  # where Django keeps what it has read

    @operation(operation_id="writeSongs", request=BulkSongsSerializer, responses={200: BulkResultsSerializer})
    def post(self, request: Request) -> Response:
        """Create songs, or update those with the same source and id, up to 1,000 at once; needs rights on songs.

        Each row has a result. A bad row is refused with its errors, and the others are written.
        """
        form = BulkSongsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        return answer_once(
            request,
            lambda: counted(
                upsert_songs(
                    rows=asked["songs"], source=asked["source"], status=asked["status"], client=client_of(request)
                ),
                BulkResultsSerializer.WORDS,
            ),
        )


class BulkStatus(BulkView):
    @operation(operation_id="setSongStatus", request=BulkStatusSerializer, responses={200: StatusResultsSerializer})
    def post(self, request: Request) -> Response:
        """Publish songs, retire them or make them drafts, by their ids in the source; needs rights on songs."""
        form = BulkStatusSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        return answer_once(
            request,
            lambda: counted(
                set_status_by_id(
                    ids=asked["ids"], source=asked["source"], status=asked["status"], client=client_of(request)
                ),
                StatusResultsSerializer.WORDS,
            ),
        )
