"""Cursor pagination: posts by time, songs by title, search results by rank."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC
from typing import Any, cast
from uuid import UUID

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.fields import IntegerField
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from ..selectors.search import Hit

PARAMETERS = ("cursor", "page_size")  # of any list, in the address


class Newest(CursorPagination):
    ordering = ("-created_at", "-id")
    page_size = 20
    max_page_size = 100
    page_size_query_param = "page_size"
    cursor_query_description = "Cursor of a page; take the whole address from `next` or `previous` instead."
    page_size_query_description = f"Results of a page, at most {max_page_size}."

    def get_page_size(self, request: Request) -> int | None:
        """Refuse a size that is no number from 1, which DRF ignores."""
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
        """Refuse a cursor whose position is not one of ours: DRF passes any position to the database."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether the text is a time with a zone that the database can hold."""
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
    """Pages of search results. A cursor holds the last hit of its page, so that no song is shown twice or left out when
    songs come and go between two pages."""

    def paginate(self, hits: Sequence[Hit], request: Request) -> list[Hit]:
        """Return the page of ``hits``, which are in order."""
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
        # The type stubs want a number, but DRF's own cursors hold texts, too.
        return self.encode_cursor(Cursor(offset=0, reverse=reverse, position=cast("Any", position)))

    def is_position(self, text: str) -> bool:
        return _hit(text) is not None


def _hit(text: str) -> Hit | None:
    """Return the hit that a cursor holds; None when the text is not one."""
    try:
        rank, title, pk = json.loads(text)
        return Hit(float(rank), "".join(title), UUID(pk))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
