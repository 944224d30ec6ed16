"""The health endpoints, for probes with any header."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from health_check.views import HealthCheckView, MediaType


class Health(HealthCheckView):
    template_name = "socialsongs/health.html"

    async def get(  # type: ignore[override]  # as in the library
        self, request: HttpRequest, *args: object, **kwargs: object
    ) -> HttpResponse:
        """Ignore a malformed header Accept."""
        try:
            list(MediaType.parse_header(request.headers.get("Accept", "*/*")))  # type: ignore[no-untyped-call]
        except ValueError:
            del request.META["HTTP_ACCEPT"]
            del request.headers  # cached, made from META
        return cast("HttpResponse", await super().get(request, *args, **kwargs))  # type: ignore[no-untyped-call]
