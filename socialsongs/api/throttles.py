"""How often a person may send requests; the settings give the rates."""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ..conf import config
from ..rates import seconds_to_wait


class PerUser(BaseThrottle):
    """A throttle by person; the setting ``<scope>_RATE`` gives the rate."""

    scope: str

    def allow_request(self, request: Request | HttpRequest, view: APIView | None) -> bool:
        if not request.user.is_authenticated:
            return True
        rate = getattr(config(), f"{self.scope}_RATE")
        self.seconds = seconds_to_wait(name=f"{self.scope}-{request.user.pk}", rate=rate)
        return not self.seconds

    def wait(self) -> float:
        return self.seconds


class UploadThrottle(PerUser):
    scope = "UPLOAD"


class RequestThrottle(PerUser):
    scope = "REQUEST"


class ReadThrottle(PerUser):
    scope = "READ"


class FeedbackThrottle(PerUser):
    scope = "FEEDBACK"
