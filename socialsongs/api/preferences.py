"""The header Prefer (RFC 7240): how long a client wants to wait for suggestions."""

from __future__ import annotations

import re
from typing import NamedTuple

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..conf import config

WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\"?)(\d{1,99})\1\s*(?:[,;]|$)", re.ASCII | re.IGNORECASE)
RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[,;]|$)", re.IGNORECASE)

PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=N`: wait up to N seconds for the suggestions, at most as long as the site allows. "
    "`respond-async`: do not wait.",
)


def preference_applied(*statuses: int) -> OpenApiParameter:
    return OpenApiParameter(
        "Preference-Applied",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="What was done of `Prefer`; not sent when nothing was, for example because no worker runs.",
        response=list(statuses),
    )


class Preference(NamedTuple):
    """``seconds`` to wait; ``name`` of what the client prefers, empty when it prefers nothing."""

    seconds: float
    name: str = ""

    def say_applied(self, response: Response, *, waited: bool) -> None:
        if self.name and (waited or not self.seconds):
            response["Preference-Applied"] = self.name


def preference_of(request: Request, *, otherwise: float) -> Preference:
    """Return what the client prefers, within the site's limit; without a preference, to wait ``otherwise`` seconds."""
    prefer = request.headers.get("Prefer", "")
    if wait := WAIT.search(prefer):
        seconds = min(float(wait[2]), config().ANSWER_SECONDS)
        return Preference(seconds, f"wait={int(seconds)}")
    return Preference(0.0, "respond-async") if RESPOND_ASYNC.search(prefer) else Preference(otherwise)
