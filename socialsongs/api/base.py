"""What all views share, so that the contract does not depend on the host's REST_FRAMEWORK settings.

Authentication is the one thing that is the host's.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ParseError, ValidationError
from rest_framework.fields import IntegerField
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ..bodies import TEXT_BYTES, check_body
from ..conf import config
from ..rates import seconds_to_wait
from ..selectors.search import Hit
from .problem import handle
from .schema import ContractSchema

if TYPE_CHECKING:
    from ..people import Person


class Json(JSONParser):
    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Python's own parser gives up on deep nesting, and DRF does not expect that."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply.") from None


class JsonAlone(DefaultContentNegotiation):
    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """A query parameter "format" is not ours, and DRF would find nothing for it."""
        return renderers


# What is stored for people runs nothing, wherever it is opened.
MEDIA_POLICY = "default-src 'none'; sandbox"


Answer = TypeVar("Answer", bound=HttpResponseBase)


def media(response: Answer) -> Answer:
    """A stored file is what it was found to be, and nothing else. The browser of who asked may keep it."""
    response["Cache-Control"] = "private, max-age=86400"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = MEDIA_POLICY
    return response


class ApiView(APIView):
    permission_classes = [IsAuthenticated]
    parser_classes = [Json]
    renderer_classes = [JSONRenderer]
    content_negotiation_class: type[DefaultContentNegotiation] = JsonAlone
    versioning_class = None
    schema = ContractSchema()
    metadata_class = None  # OPTIONS is answered like any other method that there is not

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Without the host's ATOMIC_REQUESTS: services open their own transactions, and what goes wrong with one is
        answered here and not around us."""
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    @property
    def most_bytes(self) -> int:
        return TEXT_BYTES

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        check_body(request._request, most=self.most_bytes)  # before a look at query or session reads any of it
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers are about one person: no cache keeps them, unless the view says otherwise."""
        final = super().finalize_response(request, response, *args, **kwargs)
        if "Cache-Control" not in final:
            final["Cache-Control"] = "no-store"
        return final

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return handle


def person(request: Request) -> Person:
    """Who asks; IsAuthenticated has let nobody else through."""
    return cast("Person", request.user)


class Unknown(ApiView):
    """Any address that is none."""

    authentication_classes = []
    permission_classes = []
    schema = None  # type: ignore[assignment]  # DRF's way of leaving it out

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such address. Only that of the schema ends in a slash.")


class PerUser(BaseThrottle):
    """Of the rate that the settings give for ``scope``."""

    scope: str

    def allow_request(self, request: Request | HttpRequest, view: APIView | None) -> bool:
        if not request.user.is_authenticated:
            return True
        rate = getattr(config(), f"{self.scope}_RATE")
        self.seconds = seconds_to_wait(name=f"{self.scope}-{request.user.pk}", rate=rate)
        return not self.seconds

    def wait(self) -> float:
        return self.seconds


class UploadThrottle(PerUser):
    scope = "UPLOAD"


class RequestThrottle(PerUser):
    scope = "REQUEST"


class ReadThrottle(PerUser):
    scope = "READ"


class FeedbackThrottle(PerUser):
    scope = "FEEDBACK"


class Newest(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"
    cursor_query_description = "From `next` or `previous` of another page."
    page_size_query_description = f"How many results a page has; no page has more than {max_page_size}."

    def get_page_size(self, request: Request) -> int | None:
        """DRF takes anything and leaves out what it cannot read."""
        if (text := request.query_params.get(self.page_size_query_param)) is not None:
            try:
                IntegerField(min_value=1).run_validation(text)
            except ValidationError as error:
                raise ValidationError({self.page_size_query_param: error.detail}) from None
        return super().get_page_size(request)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        cursor, page_size = super().get_schema_operation_parameters(view)
        page_size["schema"] |= {"minimum": 1, "default": self.page_size}
        return [cursor, page_size]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        address = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "properties": {
                "next": {**address, "description": "The next page, or null."},
                "previous": {**address, "description": "The page before, or null."},
                "results": schema,
            },
            "required": ["next", "previous", "results"],
        }

    def decode_cursor(self, request: Request) -> Cursor | None:
        """DRF hands whatever the cursor says on to the database."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """One of ours: with a zone, and still a date in the zone of the database."""
        try:
            moment = parse_datetime(text)
            return moment is not None and moment.tzinfo is not None and bool(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            return False


class ByTitle(Newest):
    ordering = ("title", "id")

    def is_position(self, text: str) -> bool:
        return "\0" not in text


class ByRank(Newest):
    """Pages of what was searched for. A cursor holds the hit beside which it goes on, so that nothing is shown twice or
    left out when songs come and go between two pages."""

    def paginate(self, hits: Sequence[Hit], request: Request) -> list[Hit]:
        """``hits`` in order."""
        self.base_url = request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size
        cursor = self.decode_cursor(request)
        start, end = 0, size
        if cursor is not None and (hit := _hit(str(cursor.position))) is not None:
            if cursor.reverse:
                end = bisect_left(hits, hit)
                start = max(0, end - size)
            else:
                start = bisect_right(hits, hit)
                end = start + size
        page = list(hits[start:end])
        self.links = (
            self._link(page[-1], reverse=False) if page and end < len(hits) else None,
            self._link(page[0], reverse=True) if page and start else None,
        )
        return page

    def get_next_link(self) -> str | None:
        return self.links[0]

    def get_previous_link(self) -> str | None:
        return self.links[1]

    def _link(self, hit: Hit, *, reverse: bool) -> str:
        position = json.dumps([hit.rank, hit.title, str(hit.pk)])
        # DRF's own cursors hold texts, too, whatever its stubs say.
        return self.encode_cursor(Cursor(offset=0, reverse=reverse, position=cast("Any", position)))

    def is_position(self, text: str) -> bool:
        return _hit(text) is not None


def _hit(text: str) -> Hit | None:
    """None for what is not one."""
    try:
        rank, title, pk = json.loads(text)
        return Hit(float(rank), "".join(title), UUID(pk))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
