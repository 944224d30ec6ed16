"""Pages, JSON and other text are compressed; photos and clips are so already, and keep their length and ranges."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

TEXTS = ("text/", "application/json", "application/problem+json", "application/vnd.oai.openapi")


class TextGZipMiddleware(GZipMiddleware):
    # Against guessing a page's secrets by its length (BREACH): Django masks its tokens and pads what it compresses.
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith(TEXTS):
            return response
        return super().process_response(request, response)
