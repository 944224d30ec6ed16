"""Answers of the stand-alone site where no view of the plugin answers: login, admin, unknown addresses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults

from ..api.problem import CONTENT_TYPE, problem, status_of, unavailable
from ..bodies import READING_ERRORS, body_error
from ..errors import BodyRefused, SocialSongsError, UnreadableBody
from ..outages import is_outage
from ..web.page import check_size, refused


class BodyLimits:
    """Middleware that checks the size of a body before the CSRF check reads it. Views without a CSRF check do that
    themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: object) -> HttpResponse | None:
        if getattr(view, "csrf_exempt", False):
            return None
        try:
            check_size(request)
        except BodyRefused as error:
            return answer(request, error)
        return None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400, also for Django's SuspiciousOperation."""
    error = (
        body_error(exception)
        if isinstance(exception, READING_ERRORS)
        else UnreadableBody(_("The request is not valid."))
    )
    return answer(request, error)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 when the database is away, else 500; Django calls it while it handles the exception."""
    if is_outage(sys.exc_info()[1]):
        return answer(request, unavailable())
    if _is_api(request):
        detail = _("Something went wrong on the server. Try again. If it happens again, tell whoever runs this site.")
        body = problem(500, code="error", detail=detail)
        return JsonResponse(body, status=500, content_type=CONTENT_TYPE)
    return defaults.server_error(request)


def answer(request: HttpRequest, error: SocialSongsError) -> HttpResponse:
    if not _is_api(request):
        return refused(request, error)
    status = status_of(error)
    body = problem(status, code=error.code, detail=str(error))
    response = JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
