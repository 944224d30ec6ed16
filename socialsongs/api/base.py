"""What all views share. Of the host's REST_FRAMEWORK settings only the authentication applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..bodies import TEXT_BYTES, check_body
from ..database import without_host_transaction
from .problem import handle
from .schema import ContractSchema

if TYPE_CHECKING:
    from ..user_types import Person


class Json(JSONParser):
    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Refuse JSON that is nested too deeply for Python's parser, whose RecursionError DRF does not catch."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply.") from None


class JsonAlone(DefaultContentNegotiation):
    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Ignore a query parameter "format", which DRF would answer with 404."""
        return renderers


# A stored file runs nothing, wherever a browser opens it. An answer of the API is data, never a page.
MEDIA_POLICY = "default-src 'none'; sandbox"
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


Answer = TypeVar("Answer", bound=HttpResponseBase)


def media(response: Answer) -> Answer:
    """Set the headers of a stored file: its type is fixed, and only the browser that asked may cache it."""
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
    metadata_class = None  # OPTIONS is answered 405, as other methods that a view does not have

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Opt out of the host's ATOMIC_REQUESTS: services open their own transactions, and their errors are answered
        here."""
        return without_host_transaction(super().as_view(**initkwargs))

    @property
    def most_bytes(self) -> int:
        return TEXT_BYTES

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        check_body(request._request, most=self.most_bytes)  # before anything reads the body
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Forbid caching, since answers are about one person, unless the view allows it; and being shown as a page."""
        final = super().finalize_response(request, response, *args, **kwargs)
        for header, value in {
            "Cache-Control": "no-store",
            "Content-Security-Policy": DATA_POLICY,
            "X-Content-Type-Options": "nosniff",
        }.items():
            final.headers.setdefault(header, value)
        return final

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return handle


def person(request: Request) -> Person:
    """Return who sent the request; IsAuthenticated refuses everybody else before."""
    return cast("Person", request.user)


class UnknownAddress(ApiView):
    """Answer 404 for every unknown address."""

    authentication_classes = []
    permission_classes = []
    schema = None  # type: ignore[assignment]  # DRF's way of leaving it out

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound("There is no such address. Only the address of the schema ends in a slash.")
