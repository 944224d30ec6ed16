"""Errors as application/problem+json (RFC 9457), each with a stable ``code``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from drf_spectacular.utils import OpenApiResponse
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from .. import errors, intake
from ..bodies import READING_ERRORS, body_error
from ..outages import is_outage
from .ranges import RangeNotSatisfiable

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

STATUS: dict[type[errors.SocialSongsError], int] = {
    intake.FileTooLarge: 413,
    errors.BodyTooLarge: 413,
    errors.AttachedPost: 409,
    errors.IdempotencyConflict: 409,
    errors.InvalidExternalId: 400,
    errors.KeyNeeded: 403,
    errors.LengthRequired: 411,
    errors.NotRetryable: 409,
    errors.EndpointDisabled: 409,
    errors.PostFailed: 409,
    errors.SourceTaken: 403,
    errors.StillRunning: 409,
    errors.TasteNotOffered: 409,
    errors.TooManyEndpoints: 409,
    errors.TooManyFields: 400,
    errors.TooManyWaiting: 429,
    errors.Unavailable: 503,
    errors.UnknownBodyEncoding: 415,
    errors.UnknownPost: 404,
    errors.UnknownRequest: 404,
    errors.UnknownSong: 404,
    errors.UnknownUser: 404,
    errors.UnreadableBody: 400,
    errors.UserInactive: 403,
    errors.UserNeeded: 400,
    errors.SocialSongsError: 422,
}
TITLES = {
    400: gettext_noop("The request is not valid"),
    401: gettext_noop("Log in first"),
    403: gettext_noop("Not allowed"),
    404: gettext_noop("Not found"),
    405: gettext_noop("Method not allowed"),
    406: gettext_noop("Not acceptable"),
    409: gettext_noop("Conflict"),
    411: gettext_noop("Length required"),
    413: gettext_noop("Too large"),
    415: gettext_noop("Unsupported media type"),
    416: gettext_noop("No such range"),
    422: gettext_noop("Refused"),
    429: gettext_noop("Too many requests"),
    500: gettext_noop("Server error"),
    503: gettext_noop("Not available now"),
}


class BadPhotoSerializer(serializers.Serializer[Any]):
    place = serializers.IntegerField(help_text="Position of the photo in the request, from 1.")
    name = serializers.CharField(help_text="File name that the client sent, without characters that cannot be printed.")


# What handle() answers, for the schema.
class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, as in RFC 9457."""

    type = serializers.CharField(help_text="Always about:blank; use `code` instead.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable name of the error.")
    detail = serializers.CharField(help_text="What was wrong and what to do.")
    errors = serializers.DictField(  # type: ignore[assignment]  # shadows a property that only is_valid() fills
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="By field, such as `text` or `events[1].song`.",
    )
    photo = BadPhotoSerializer(required=False, help_text="The photo that was refused.")


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """Return the problems that a view declares for the schema; api/schema.py adds those that all views share."""
    return {(status, CONTENT_TYPE): OpenApiResponse(ProblemSerializer, TITLES[status]) for status in statuses}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error as a problem; DRF's exception handler of our views. None leaves an unexpected error to Django."""
    headers: dict[str, str] = {}
    if isinstance(error, READING_ERRORS):
        error = body_error(error)
    elif is_outage(error):
        logger.error("A request was answered 503, since the database does not work: %s", error)
        error = unavailable()
    if isinstance(error, errors.SocialSongsError):
        status = status_of(error)
        body: dict[str, Any] = {"code": error.code, "detail": str(error), **error.extra}
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
    else:
        if isinstance(error, Http404):
            error = exceptions.NotFound(_("There is no such object, or you may not see it."))
        elif isinstance(error, PermissionDenied):
            error = exceptions.PermissionDenied()
        elif isinstance(error, exceptions.NotAcceptable):
            error = exceptions.NotAcceptable(_("Answers are JSON: send “Accept: application/json”, or leave it out."))
        elif isinstance(error, exceptions.UnsupportedMediaType):
            types = " / ".join(parser.media_type for parser in context["view"].parser_classes)
            text = _("The body has another type than this address takes: send it as %(types)s.") % {"types": types}
            error = exceptions.UnsupportedMediaType("", detail=text)
        if not isinstance(error, exceptions.APIException):
            return None
        status, body, headers = error.status_code, _body(error), _headers(error)
    set_rollback()
    return Response(problem(status, **body), status=status, headers=headers, content_type=CONTENT_TYPE)


def status_of(error: errors.SocialSongsError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def unavailable() -> errors.Unavailable:
    return errors.Unavailable(
        _("The site cannot do this at the moment. Nothing that was accepted is lost. Try again soon.")
    )


def problem(status: int, **body: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": _(TITLES.get(status, gettext_noop("Error"))), "status": status, **body}


def _body(error: exceptions.APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        detail = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        fields = dict(_by_field(detail))
        first = next(iter(fields.items()), ("", [""]))
        return {"code": "invalid", "detail": f"{first[0]}: {first[1][0]}", "errors": fields}
    return {"code": str(error.get_codes()), "detail": str(error.detail)}


def _text(said: Any) -> str:
    """Return the text in valid UTF-8: messages repeat what was sent, and JSON can hold half of a surrogate pair."""
    return str(said).encode(errors="replace").decode()


def _by_field(said: Any, name: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each wrong field, such as ``events[1].song``, and what is wrong with it."""
    if isinstance(said, list) and any(isinstance(part, dict) for part in said):  # where DRF is older
        said = {number: part for number, part in enumerate(said) if part}
    if isinstance(said, dict) and all(isinstance(key, int) for key in said):  # of a list, by index
        if all(isinstance(part, dict) for part in said.values()):
            for number, part in said.items():
                yield from _by_field(part, f"{name}[{number}]")
        else:
            yield name, [_text(text) for texts in said.values() for text in texts]
    elif isinstance(said, dict):
        for key, part in said.items():
            if name and key == api_settings.NON_FIELD_ERRORS_KEY:
                yield from _by_field(part, name)
            else:
                yield from _by_field(part, f"{name}.{_text(key)}" if name else _text(key))
    else:
        yield name, [_text(text) for text in (said if isinstance(said, list) else [said])]


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(int(getattr(error, "wait", None) or 0) + 1)
    return headers
