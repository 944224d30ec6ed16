"""Limits on failed logins, counted by django-axes in the database by name and by address."""

from __future__ import annotations

import logging
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

logger = logging.getLogger(__name__)


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address, which the web server resolved behind our proxies (FORWARDED_ALLOW_IPS).

    An IPv6 address counts as its network of 64 bits, in which a client can choose its addresses.
    """
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or IPv6Network((address, 64), strict=False).network_address
    return str(address)


def described(name: str | None, address: str | None, *_: Any) -> str:
    """Return name and address for the log; repr() keeps a name from writing lines of its own."""
    return f"{name!r} from {address}"


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer 429, alike for names that exist and names that do not."""
    wait: timedelta = settings.AXES_COOLOFF_TIME
    name = (credentials or {}).get("username")
    logger.warning("Login refused after too many failures: %s", described(name, client_address(request)))
    context = {"minutes": int(wait.total_seconds() // 60)}
    page = render(request, "registration/locked_out.html", context, status=429)
    page["Retry-After"] = str(int(wait.total_seconds()))
    add_never_cache_headers(page)
    return page
