"""What every page needs, whatever middleware the host has: limits on bodies, and an answer to each failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from ..api.problem import TITLES, status_of, unavailable
from ..bodies import READING_ERRORS, STRANGER_BYTES, body_error, check_body, photo_bytes
from ..database import without_host_transaction
from ..error_reports import private
from ..errors import BodyRefused, BodyTooLarge, SocialSongsError
from ..outages import is_outage
from .expired_login import is_htmx, to_login

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponseBase]


def page(view: View) -> View:
    """Wrap a view so that the size of a body is checked before the CSRF check, which may be the first to read it.

    The host's ATOMIC_REQUESTS does not apply, as in the API: errors of a transaction are answered here.
    """
    protected = csrf_protect(view)

    @csrf_exempt
    @private
    @without_host_transaction
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            check_size(request)
            response = protected(request, *args, **kwargs)
            if "Cache-Control" not in response:  # a page is about one person
                add_never_cache_headers(response)
            return response
        except BodyRefused as error:
            if isinstance(error, BodyTooLarge) and is_htmx(request) and not request.user.is_authenticated:
                return to_login(request, **kwargs)  # the person's login has ended; their photos are not read
            return refused(request, error)
        except READING_ERRORS as error:
            return refused(request, body_error(error))
        except Error as error:
            if not is_outage(error):
                raise
            logger.error("A page was answered 503, since the database does not work: %s", error)
            return refused(request, unavailable())

    return guarded


def check_size(request: HttpRequest) -> None:
    """Raise BodyRefused for a body that is too large; only who is logged in may send photos."""
    try:
        check_body(request, most=STRANGER_BYTES)
    except BodyTooLarge:
        check_body(request, most=photo_bytes() if request.user.is_authenticated else STRANGER_BYTES)


def refused(request: HttpRequest, error: SocialSongsError) -> HttpResponse:
    """Render an error as a page, or for htmx as a part of one, without a query: the database may be what failed."""
    status = status_of(error)
    template = "_error" if is_htmx(request) else "refused"
    context = {"title": gettext(TITLES[status]), "error": str(error)}
    response = HttpResponse(render_to_string(f"socialsongs/{template}.html", context), status=status)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response
