"""The OpenAPI schema of the contract: what every operation has in common, said once.

A view names what it answers when all goes well, and the problems of its own with ``problems()``. The rest is added
here. That this schema is true is tested: every answer that a test gets is held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import Direction, OpenApiParameter, extend_schema
from rest_framework.serializers import ListSerializer

from .problem import ProblemSerializer, problems

Method = TypeVar("Method", bound=Callable[..., Any])

# A body that is no text. OpenAPI 3.1 has no schema for it: the media type says what it is.
BYTES = {"description": "The bytes of the file."}

# Any operation: who asks, how often, for what type, with what body, and whether the database takes writes.
ALWAYS = (400, 401, 403, 406, 411, 413, 415, 429, 503)

# Headers of a problem, by status.
LATER = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
        "description": "Ask again after so many seconds.",
    }
}
CHALLENGE = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True, "description": "How to log in."}}
PROBLEM_HEADERS: dict[str, dict[str, Any]] = {"401": CHALLENGE, "429": LATER, "503": LATER}


def location(*statuses: int) -> OpenApiParameter:
    return OpenApiParameter(
        "Location",
        OpenApiTypes.URI,
        OpenApiParameter.HEADER,
        required=True,
        description="Where to poll for the answer.",
        response=list(statuses),
    )


def retry_after(*statuses: int, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(
        "Retry-After",
        {"type": "integer", "minimum": 1},
        OpenApiParameter.HEADER,
        required=required,
        description="While work is under way: ask again after so many seconds.",
        response=list(statuses),
    )


class ContractSchema(AutoSchema):
    def shared_problems(self) -> tuple[int, ...]:
        """The statuses that this operation shares with its like; a cursor, too, can name what is not there."""
        return (*ALWAYS, 404) if "{" in self.path or self._is_list_view() else ALWAYS

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        """DRF-spectacular documents what a view declares; here come the problems that any such operation can have."""
        declared: dict[str, Any] = super()._get_response_bodies(direction)
        for (status, *media_types), problem in problems(*self.shared_problems()).items():
            code = str(status)
            if code not in declared:
                response = self._get_response_for_code(problem, code, media_types, direction)  # type: ignore[no-untyped-call]
                declared[code] = response
        return dict(sorted(declared.items()))

    def _get_response_headers_for_code(self, status_code: str, direction: Direction = "response") -> dict[str, Any]:
        headers: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        return {**headers, **PROBLEM_HEADERS.get(status_code, {})}

    def _map_basic_serializer(self, serializer: Any, direction: Direction) -> dict[str, Any]:
        """What an answer can hold it always holds, null or empty perhaps; only a problem leaves ``errors`` out."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        for name, field in serializer.fields.items():
            if direction == "request" and isinstance(field, ListSerializer):  # drf-spectacular leaves its bounds out
                schema["properties"][name] |= _bounds(field)
        if direction == "response" and not isinstance(serializer, ProblemSerializer):
            schema["required"] = sorted(schema["properties"])
        return schema


def _bounds(field: Any) -> dict[str, int]:
    """Of a list of objects: how many there may be."""
    bounds = {"minItems": field.min_length if field.allow_empty else 1, "maxItems": field.max_length}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def operation(**said: Any) -> Callable[[Method], Method]:
    """extend_schema on our class: drf-spectacular would build on the one that the host has set for its own views."""

    def describe(method: Method) -> Method:
        method.kwargs = {"schema": ContractSchema}  # type: ignore[attr-defined]  # where extend_schema looks for it
        described: Method = extend_schema(**said)(method)
        return described

    return describe


class OwnEndpoints(EndpointEnumerator):
    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        """Ours alone: how a host documents its views is its own affair."""
        return super().should_include_endpoint(path, callback) and isinstance(callback.cls.schema, ContractSchema)


class ContractGenerator(SchemaGenerator):
    endpoint_inspector_cls = OwnEndpoints
