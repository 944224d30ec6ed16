"""What all views share. Of the host's REST_FRAMEWORK settings only the authentication applies, beside API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, ParseError, PermissionDenied, Throttled, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..bodies import TEXT_BYTES, check_body
from ..conf import config
from ..database import without_host_transaction
from ..error_reports import private
from ..errors import KeyNeeded, UserNeeded
from ..models import ApiKey, Scope
from .conditional import make_conditional
from .keys import (
    USER_HEADER,
    ApiKeyAuthentication,
    account_for,
    check_scope,
    external_id,
    is_bearer,
    not_sent_as_a_key,
)
from .languages import answer_language
from .problem import handle
from .schema import ContractSchema
from .throttles import ClientThrottle, Throttle, rate_limit_fields

if TYPE_CHECKING:
    from ..user_types import Person


class Json(JSONParser):
    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Refuse what is no JSON, in the language of the answer, and what is nested too deeply for Python's parser."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(_("The JSON in the body is nested too deeply.")) from None
        except ParseError as error:
            if isinstance(found := error.__context__, JSONDecodeError):
                where = {"line": found.lineno, "column": found.colno}
                raise ParseError(_("The body is no JSON from line %(line)s, column %(column)s on.") % where) from None
            raise ParseError(_("The body is no JSON in UTF-8, or holds NaN or an infinite number.")) from None


class JsonAlone(DefaultContentNegotiation):
    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Leave a query parameter "format" to ``ApiView.check_parameters``: DRF would answer it with 404."""
        return renderers


class AnyAccept(JsonAlone):
    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Leave the header Accept to nobody: a file has the type that it has. Only errors are JSON there."""
        return renderers[0], renderers[0].media_type


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
    permission_classes: Any = None  # None: those that the setting names
    more_permissions: Sequence[type[BasePermission]] = ()
    open_to_visitors = False  # whether people who are not logged in may read, where the permission classes allow it
    parser_classes = [Json]
    renderer_classes = [JSONRenderer]
    content_negotiation_class: type[DefaultContentNegotiation] = JsonAlone
    versioning_class = None
    schema = ContractSchema()
    conditional = True  # answers to GET have an ETag; False where they are files, whose views see to it
    metadata_class = None  # OPTIONS is answered 405, as other methods that a view does not have
    # By method: the scope that an API key needs; None: any key will do. A method that is not named is not for keys.
    scopes: Mapping[str, Scope | None] = {}
    parameters: Sequence[str] = ()  # those that GET takes in the address; other methods take none
    needs_user = True  # an API key alone is not enough: the request must say for whom it is

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Opt out of the host's ATOMIC_REQUESTS: services open their own transactions, and their errors are answered
        here."""
        return private(without_host_transaction(super().as_view(**initkwargs)))

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.throttles: list[Throttle] = []  # those that were asked

    @property
    def most_bytes(self) -> int:
        return TEXT_BYTES

    def get_authenticators(self) -> list[Any]:
        return [ApiKeyAuthentication(), *super().get_authenticators()]

    def get_authenticate_header(self, request: Request) -> str:
        """Return the challenge of API keys to who sent one, else that of the host's first class."""
        keys, *own = self.get_authenticators()
        asked = keys if not own or is_bearer(request) else own[0]
        header: str = asked.authenticate_header(request)
        return header

    def perform_authentication(self, request: Request) -> None:
        """Find the person; of a request with an API key, check its client's rate and its scope first."""
        super().perform_authentication(request)
        if isinstance(request.auth, ApiKey):
            self._ask_throttles(request, [ClientThrottle()])
            self.authenticate_user_of(request, request.auth)
        elif request.auth is None and not request.user.is_authenticated and is_bearer(request):
            raise not_sent_as_a_key()  # nor a token of the host's: its classes do not know it
        elif USER_HEADER in request.headers and request.user.is_authenticated:  # others are asked for a login
            raise KeyNeeded(
                _("%(header)s goes with an API key. With a login of your own, leave it out.") % {"header": USER_HEADER}
            )

    def authenticate_user_of(self, request: Request, key: ApiKey) -> None:
        method = "GET" if request.method == "HEAD" else str(request.method)
        if not hasattr(self, method.lower()):
            return  # answered 405
        if method not in self.scopes:
            raise PermissionDenied(_("This is not for API keys."))
        if (scope := self.scopes[method]) is not None:
            check_scope(key, scope)
        if (named := external_id(request)) is not None:
            request.user = account_for(key, named)
        elif self.needs_user:
            raise UserNeeded(
                _("This is about one person: send their id in the header %(header)s.") % {"header": USER_HEADER}
            )

    def check_throttles(self, request: Request) -> None:
        self._ask_throttles(request, self.get_throttles())

    def _ask_throttles(self, request: Request, throttles: Sequence[Any]) -> None:
        self.throttles += throttles
        if waits := [throttle.wait() for throttle in throttles if not throttle.allow_request(request, self)]:
            for throttle in self.throttles:
                throttle.give_back()
            self.throttled(request, max(waits))

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        refused = next(throttle for throttle in self.throttles if throttle.quota and throttle.quota.refused)
        raise Throttled(wait, detail=refused.text())

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override(answer_language(request)):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        check_body(request._request, most=self.most_bytes)  # before anything reads the body
        super().initial(request, *args, **kwargs)
        self.check_parameters(request)

    def check_parameters(self, request: Request) -> None:
        """Refuse a parameter of the address that nothing reads: a mistyped one is an error and not ignored."""
        known = self.parameters if request.method in ("GET", "HEAD") else ()
        has_method = hasattr(self, str(request.method).lower())  # otherwise it is answered 405
        if has_method and (unknown := sorted(set(request.query_params) - set(known))):
            text = (
                _("There is no such parameter. Known: %(known)s.") % {"known": ", ".join(known)}
                if known
                else _("There is no such parameter: the address takes none.")
            )
            raise ValidationError({name: [text] for name in unknown})

    def get_permissions(self) -> list[Any]:
        """Return the view's own permissions, or those that the setting names; never those of the host's own API.

        None for API keys, whose scopes were checked: the others are about accounts that log in.
        """
        if isinstance(getattr(self.request, "auth", None), ApiKey):
            return []
        own = self.permission_classes
        classes = map(import_string, config().PERMISSION_CLASSES) if own is None else own
        return [cls() for cls in (*classes, *self.more_permissions)]

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if self.permission_classes is not None or isinstance(request.auth, ApiKey):
            return
        is_open = self.open_to_visitors and request.method in SAFE_METHODS
        if not (is_open or request.user.is_authenticated):
            self.permission_denied(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let only the client itself keep an answer, and ask before it uses it, unless the view says otherwise; forbid
        to show it as a page; say what the rates leave."""
        final = super().finalize_response(request, response, *args, **kwargs)
        for header, value in rate_limit_fields(self.throttles).items():
            final[header] = value
        is_read = request.method in ("GET", "HEAD") and final.status_code == 200
        if self.conditional and is_read and isinstance(final, Response):
            make_conditional(request, final)
        if isinstance(final, Response):  # which has texts, as a file has not
            patch_vary_headers(final, ["Accept-Language"])
            final.headers.setdefault("Content-Language", translation.get_language())
        for header, value in {
            "Cache-Control": "no-store",
            "Content-Security-Policy": DATA_POLICY,
            "X-Content-Type-Options": "nosniff",
        }.items():
            final.headers.setdefault(header, value)
        # A platform asks for many people: its HTTP cache must not show one of them what it keeps for another.
        patch_vary_headers(final, ["Authorization", USER_HEADER])
        return final

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return handle


def person(request: Request) -> Person:
    """Return who sent the request; ``ApiView.initial`` refuses visitors before, but for reading."""
    return cast("Person", request.user)


class UnknownAddress(ApiView):
    """Answer 404 for every unknown address."""

    permission_classes = []
    schema = None  # type: ignore[assignment]  # DRF's way of leaving it out

    def perform_authentication(self, request: Request) -> None:
        """Ask nobody who they are."""

    def check_parameters(self, request: Request) -> None:
        """There is nothing that could take any."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(_("There is no such address. Only the address of the schema ends in a slash."))
