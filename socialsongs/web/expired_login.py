"""Send whoever is not logged in to the login, which leads back to the page they were on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

View = Callable[..., HttpResponseBase]


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def login_needed(view: View) -> View:
    """Like Django's ``login_required``, and for requests of htmx and forms, too.

    htmx is answered 401 with the address of the login: it would follow a redirect and insert the login into the page.
    After a form the login leads to the page with the form, since the form's own address answers POST alone.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.user.is_authenticated else to_login(request, **kwargs)

    inner.login_required = False  # type: ignore[attr-defined]  # tells a host's LoginRequiredMiddleware to leave this view alone
    return inner


def to_login(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    back = _page_path(request, **kwargs)
    host = urlsplit(resolve_url(settings.LOGIN_URL)).netloc
    if host and host != request.get_host():
        back = request.build_absolute_uri(back)
    login = redirect_to_login(back)
    if not is_htmx(request):
        return login
    return HttpResponse(status=401, headers={"HX-Redirect": login.url})


def _page_path(request: HttpRequest, **kwargs: Any) -> str:
    """Return the path of the page on which the person was."""
    if not is_htmx(request) and request.method in ("GET", "HEAD"):
        return request.get_full_path()
    shown = request.headers.get("HX-Current-URL" if is_htmx(request) else "Referer", "")
    if url_has_allowed_host_and_scheme(shown, {request.get_host()}):
        path = urlsplit(shown)._replace(scheme="", netloc="", fragment="").geturl()
        if path.startswith("/") and url_has_allowed_host_and_scheme(path, None):  # not //elsewhere
            return path
    post_id = kwargs.get("post_id")
    return reverse("socialsongs:post-page", args=[post_id]) if post_id else reverse("socialsongs:home")
