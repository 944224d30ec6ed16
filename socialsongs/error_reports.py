"""Reports of errors that Django mails to ADMINS: without what people wrote and how they named their files."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.debug import ExceptionReporter

View = Callable[..., HttpResponseBase]


class PrivateReport(ExceptionReporter):
    """What the setting DEFAULT_EXCEPTION_REPORTER names, so that a report has no names of uploaded files."""

    def get_traceback_data(self) -> dict[str, Any]:
        return {**super().get_traceback_data(), "request_FILES_items": []}


def private(view: View) -> View:
    """Leave form fields out of a report of an error in the view; Django leaves out secret headers itself."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.sensitive_post_parameters = "__ALL__"  # type: ignore[attr-defined]  # read by Django's reports
        return view(request, *args, **kwargs)

    return inner
