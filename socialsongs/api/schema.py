"""The OpenAPI schema: what all operations share.

A view declares its successful answers, and its own problems with ``problems()``; this module adds the rest. The tests
validate every answer that they get against this schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.utils import translation
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import Direction, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.serializers import ListSerializer

from .contract import RATE_HEADERS
from .links import links_of
from .problem import ProblemSerializer, problems
from .serializers import Strict

Method = TypeVar("Method", bound=Callable[..., Any])

# The content of a binary file: OpenAPI 3.1 describes it by the media type alone.
BYTES = {"description": "The bytes of the file."}

# Headers of every GET whose answer is JSON.
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`ETag` of an answer that the client has. While it is the answer, the status is 304, without a body.",
)
ETAG = {"ETag": {"schema": {"type": "string"}, "required": True, "description": "Changes with the answer."}}

# A header of every operation that is a POST.
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Up to 255 characters. A request that is sent again with the same key and body counts once; with "
    "another body it is refused (409), also while the first one runs (409 with Retry-After).",
)

# Problems of any operation: body, login, permission, type of the answer, size, rate, database.
ALWAYS = (400, 401, 403, 406, 411, 413, 415, 429, 503)

# Headers of a problem, by status.
LATER = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1},
        "required": True,
        "description": "Seconds after which to send the request again.",
    }
}
RUNNING = {"Retry-After": {**LATER["Retry-After"], "required": False}}
RATES = {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}
CHALLENGE = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True, "description": "How to log in."}}
PROBLEM_HEADERS: dict[str, dict[str, Any]] = {"401": CHALLENGE, "409": RUNNING, "429": LATER, "503": LATER}


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
        description="Seconds after which to poll again, while the work goes on.",
        response=list(statuses),
    )


FOR_USER = OpenApiParameter(
    "SocialSongs-User",
    {"type": "string", "minLength": 1},
    OpenApiParameter.HEADER,
    description="With an API key: your id of the person for whom the request is, in UTF-8, percent-encoded; at most "
    "255 visible characters. Their first request makes an account for them.",
)


class ContractSchema(AutoSchema):
    def shared_problems(self) -> tuple[int, ...]:
        """Return the statuses that this operation shares with others.

        404: also for an unknown cursor, and for a person whom the function of the setting EXTERNAL_USER does not know.
        """
        shared = (*ALWAYS, 409) if self.method == "POST" else ALWAYS
        may_miss = "{" in self.path or self._is_list_view() or self._is_for_keys()
        return (*shared, 404) if may_miss else shared

    def _is_for_keys(self) -> bool:
        return self.method in getattr(self.view, "scopes", {})

    def get_override_parameters(self) -> list[Any]:
        """Add the headers that all operations of a kind have."""
        parameters: list[Any] = list(super().get_override_parameters())
        if self.method == "POST":
            parameters.append(IDEMPOTENCY_KEY)
        if self.is_conditional:
            parameters.append(IF_NONE_MATCH)
        if self._is_for_keys():
            parameters.append(FOR_USER)
        return parameters

    @property
    def is_conditional(self) -> bool:
        return self.method == "GET" and bool(getattr(self.view, "conditional", False))

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        """Add to the answers that the view declares: the shared problems, 304 of conditional reads, and links."""
        declared: dict[str, Any] = super()._get_response_bodies(direction)
        if self.is_conditional:
            unchanged = OpenApiResponse(None, "The client has this answer")
            declared["304"] = self._get_response_for_code(unchanged, "304", None, direction)  # type: ignore[no-untyped-call]
        for (status, *media_types), problem in problems(*self.shared_problems()).items():
            code = str(status)
            if code not in declared:
                response = self._get_response_for_code(problem, code, media_types, direction)  # type: ignore[no-untyped-call]
                declared[code] = response
        for code, response in declared.items():
            if links := links_of(self.get_operation_id(), code):
                response["links"] = links
        return dict(sorted(declared.items()))

    def _get_response_headers_for_code(self, status_code: str, direction: Direction = "response") -> dict[str, Any]:
        headers: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        rates = RATES if status_code < "400" or status_code == "429" else {}  # others may have them, too
        tagged = ETAG if self.is_conditional and status_code in ("200", "304") else {}
        return {**headers, **rates, **tagged, **PROBLEM_HEADERS.get(status_code, {})}

    def _map_basic_serializer(self, serializer: Any, direction: Direction) -> dict[str, Any]:
        """Mark the fields of an answer as required: they are always there, perhaps null; those of a problem are not.

        Say which bodies refuse unknown keys.
        """
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        for name, field in serializer.fields.items():
            if direction == "request" and isinstance(field, ListSerializer):  # drf-spectacular omits its bounds
                schema["properties"][name] |= _bounds(field)
        if direction == "request" and isinstance(serializer, Strict):
            schema["additionalProperties"] = False
        if direction == "response" and not isinstance(serializer, ProblemSerializer):
            schema["required"] = sorted(schema["properties"])
        return schema


def _bounds(field: Any) -> dict[str, int]:
    """Return the bounds on the length of a list."""
    bounds = {"minItems": field.min_length if field.allow_empty else 1, "maxItems": field.max_length}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def operation(**said: Any) -> Callable[[Method], Method]:
    """Apply ``extend_schema`` to our schema class; drf-spectacular would take the class that the host has set."""

    def describe(method: Method) -> Method:
        method.kwargs = {"schema": ContractSchema}  # type: ignore[attr-defined]  # where extend_schema looks for it
        described: Method = extend_schema(**said)(method)
        return described

    return describe


class OwnEndpoints(EndpointEnumerator):
    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        """Whether the endpoint is ours: a host documents its own views."""
        return super().should_include_endpoint(path, callback) and isinstance(callback.cls.schema, ContractSchema)


class ContractGenerator(SchemaGenerator):
    endpoint_inspector_cls = OwnEndpoints

    def get_schema(self, request: Any = None, public: bool = False) -> Any:
        """Describe the API in English, in whatever language the texts of its answers are."""
        with translation.override(None):
            return super().get_schema(request, public)  # type: ignore[no-untyped-call]
