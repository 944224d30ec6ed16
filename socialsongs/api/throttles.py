"""How many requests a person and an API client may send; the settings and the client give the rates.

Answers say what is left in the fields of draft-ietf-httpapi-ratelimit-headers-11.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ..conf import config
from ..models import ApiKey
from ..rates import Quota, give_back, use_quota


class Throttle(BaseThrottle):
    """A throttle that keeps what is left of its rate in ``quota``; None: the rate does not apply to this request."""

    policy: str  # name of the rate in the answer's fields
    quota: Quota | None = None

    def use(self, request: Request | HttpRequest) -> Quota | None:
        raise NotImplementedError

    def allow_request(self, request: Request | HttpRequest, view: APIView | None) -> bool:
        self.quota = self.use(request)
        return self.quota is None or not self.quota.refused

    def wait(self) -> float:
        """Return the seconds until a refused request would be allowed."""
        return 0.0 if self.quota is None else self.quota.renews

    def give_back(self) -> None:
        """Do not count the request, which another rate refused: one person's must not use up the client's."""
        if self.quota is not None and not self.quota.refused:
            self.quota = give_back(self.quota)

    def text(self) -> str:
        """Return for people which rate refused the request, and when to send it again."""
        assert self.quota is not None
        most, period, seconds = self.quota.most, self.quota.period, ceil(self.quota.renews)
        return _(
            "Too many requests: the rate “%(policy)s” allows %(most)s in %(period)s seconds. Send it again in "
            "%(seconds)s seconds."
        ) % {"policy": self.policy, "most": most, "period": period, "seconds": seconds}


class PerUser(Throttle):
    """A throttle by person; the setting ``<POLICY>_RATE`` gives the rate."""

    def use(self, request: Request | HttpRequest) -> Quota | None:
        if not request.user.is_authenticated:
            return None
        rate = getattr(config(), f"{self.policy.upper()}_RATE")
        return use_quota(name=f"{self.policy.upper()}-{request.user.pk}", rate=rate)


class UploadThrottle(PerUser):
    policy = "upload"


class RequestThrottle(PerUser):
    policy = "request"


class ReadThrottle(PerUser):
    policy = "read"


class FeedbackThrottle(PerUser):
    policy = "feedback"


class CatalogueThrottle(PerUser):
    policy = "catalogue"


class ClientThrottle(Throttle):
    """A throttle by API client, whichever of its keys it uses."""

    policy = "client"

    def use(self, request: Request | HttpRequest) -> Quota | None:
        key = getattr(request, "auth", None)
        if not isinstance(key, ApiKey):
            return None
        return use_quota(name=f"CLIENT-{key.client_id}", rate=key.client.rate or config().CLIENT_RATE)


def rate_limit_fields(throttles: Iterable[Throttle]) -> dict[str, str]:
    """Return the fields RateLimit-Policy and RateLimit of an answer; empty when no rate applied."""
    used = [(throttle.policy, quota) for throttle in throttles if (quota := throttle.quota) is not None]
    if not used:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{policy}";q={quota.most};w={quota.period}' for policy, quota in used),
        "RateLimit": ", ".join(f'"{policy}";r={quota.left};t={ceil(quota.renews)}' for policy, quota in used),
    }
