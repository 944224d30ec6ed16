"""Whether the token, API key or session of a request is valid: the web server asks before it reads a large body."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, close_old_connections
from django.http import HttpResponse
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from ..api.keys import ApiKeyAuthentication
from .tokens import TokenAuthentication


def is_known(headers: Mapping[str, str]) -> bool:
    """``headers`` as waitress names them. True when the database is away: the application answers that itself."""
    close_old_connections()
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "wsgi.input": BytesIO(),
            "HTTP_COOKIE": headers.get("COOKIE", ""),
            "HTTP_AUTHORIZATION": headers.get("AUTHORIZATION", ""),
        }
    )
    try:
        return _has_session(request) or _has_secret(request)
    except DatabaseError:
        return True


def _has_session(request: WSGIRequest) -> bool:
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    return get_user(request).is_authenticated


def _has_secret(request: WSGIRequest) -> bool:
    sent = Request(request)
    try:
        return any(kind().authenticate(sent) is not None for kind in (TokenAuthentication, ApiKeyAuthentication))
    except PermissionDenied:  # a valid token without the scope; the application answers that
        return True
    except AuthenticationFailed:
        return False
