"""Conditional reads: an ETag for each answer to GET, and 304 for a client that has it (RFC 9110)."""

from __future__ import annotations

import hashlib

from django.http import HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

# The client's own cache may keep the answer, and has to ask before it uses it.
ASK_FIRST = "private, no-cache"


def make_conditional(request: Request, response: Response) -> None:
    """Have the answer tagged by its content once it is rendered, and replaced by a 304 when the client has it."""
    response["Cache-Control"] = ASK_FIRST
    response.add_post_render_callback(lambda rendered: _tagged(request, rendered))


def _tagged(request: Request, response: Response) -> HttpResponseNotModified | None:
    tag = f'"{hashlib.sha256(response.rendered_content).hexdigest()[:32]}"'
    response["ETag"] = tag
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if "*" not in known and tag not in (etag.removeprefix("W/") for etag in known):
        return None
    unchanged = HttpResponseNotModified()
    for name, value in response.items():
        if not name.lower().startswith("content-"):
            unchanged[name] = value
    unchanged.cookies = response.cookies
    return unchanged
