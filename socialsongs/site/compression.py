"""Compression of text. Photos and clips are compressed already, and keep their lengths and ranges."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

TEXTS = ("text/", "application/json", "application/problem+json", "application/vnd.oai.openapi")


class TextGZipMiddleware(GZipMiddleware):
    # BREACH guesses secrets of a page by its length: Django masks its CSRF tokens and pads what it compresses.
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith(TEXTS):
            return response
        return super().process_response(request, response)
