"""Checks every answer of the API that a test gets against the schema, docs/openapi.yaml."""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import httpx
import pytest
import yaml
from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception
from openapi_core import Config, OpenAPI
from openapi_core.templating.media_types.exceptions import MediaTypeFinderError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.response.exceptions import DataValidationError
from openapi_schema_validator import OAS31Validator

SNAPSHOT = Path(__file__).resolve().parents[1] / "docs" / "openapi.yaml"
PROBLEM = "application/problem+json"
OURS = re.compile(r"/api/v1(/[^?#]*)?(?=[?#]|$)")


class BrokenContract(AssertionError):
    """An answer does not match the schema."""


@cache
def schema() -> OpenAPI:
    config = Config(
        spec_validator_cls=None,  # test_schema.py does that
        extra_media_type_deserializers={PROBLEM: json.loads},
        additional_properties_default_policy="forbid",  # what the schema does not name is not there
    )
    return OpenAPI.from_dict(yaml.load(SNAPSHOT.read_text(), yaml.CSafeLoader), config=config)


def check(method: str, url: str, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    """Raises BrokenContract. ``body`` is None where it was not read: of HEAD, and of a stream."""
    found = OURS.search(url)
    if found is None:
        return
    path, content_type = found[0], headers.get("Content-Type", "")
    request = MockRequest("http://testserver", "get" if method == "HEAD" else method.lower(), path)
    answer = MockResponse(body or b"", status, dict(headers), content_type)
    if body is None:
        answer.data = b"not read"
    errors: list[object] = list(schema().response_validator.iter_errors(request, answer))
    # A 405 is of no operation, though the schema may have one at an address of the same shape (/songs/{id}).
    if status == 405 or any(isinstance(error, PathError) for error in errors):
        errors = _errors_of_no_operation(status, content_type, body)
    elif body is None:
        errors = [error for error in errors if not isinstance(error, DataValidationError) or _is_of_the_type(error)]
    elif not errors and body and status == 204:
        errors = ["there is a body"]
    elif not errors and content_type == PROBLEM and json.loads(body)["status"] != status:
        errors = ["the problem names another status"]
    if errors:
        causes = [getattr(getattr(error, "__cause__", None), "schema_errors", error) for error in errors]
        raise BrokenContract(f"{method} {url} answered {status} {content_type}: {causes}\n{(body or b'')[:2000]!r}")


def _errors_of_no_operation(status: int, content_type: str, body: bytes | None) -> list[object]:
    """Return the errors of an answer to an unknown address or method: it must be a problem."""
    if status < 400 or content_type != PROBLEM:
        return ["what is not in the schema is answered by a problem"]
    problem = schema().spec.read_value()["components"]["schemas"]["Problem"]
    return [] if body is None else list(OAS31Validator(problem).iter_errors(json.loads(body)))


def _is_of_the_type(error: DataValidationError) -> bool:
    return isinstance(error.__cause__, MediaTypeFinderError)


@contextmanager
def held() -> Iterator[list[BrokenContract]]:
    """Check every answer of this process's Django, and of any server that http.client (with it urllib and requests) or
    httpx asks.

    Raises BrokenContract where the answer arrives; in a thread of the live server, appends it to the list.
    """
    found: list[BrokenContract] = []
    django, putrequest, getresponse, send = (
        BaseHandler.get_response,
        http.client.HTTPConnection.putrequest,
        http.client.HTTPConnection.getresponse,
        httpx.Client.send,
    )

    raised: list[BaseException | None] = []

    def note(**_):
        raised.append(sys.exception())

    def answered(handler, request):
        raised.clear()
        response = django(handler, request)
        body = None if response.streaming else response.content
        try:
            check(request.method, request.get_full_path(), response.status_code, response.headers, body)
        except BrokenContract as error:
            if threading.current_thread() is threading.main_thread():
                raise error from (raised[-1] if raised else None)
            found.append(error)
        return response

    def asked(connection, method, url, *arguments, **options):
        connection.asked = method, url
        return putrequest(connection, method, url, *arguments, **options)

    def received(connection):
        response = getresponse(connection)
        method, url = connection.asked
        if OURS.search(url):
            body = response.read()
            response.fp, response.length, response.chunked = BytesIO(body), len(body), False  # to be read again
            check(method, url, response.status, dict(response.headers), None if method == "HEAD" else body)
        return response

    def sent(client, request, **options):
        response = send(client, request, **options)
        if OURS.search(str(request.url)):
            body = response.read()
            headers = {name.decode(): value.decode() for name, value in response.headers.raw}
            is_head = request.method == "HEAD"
            check(request.method, str(request.url), response.status_code, headers, None if is_head else body)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", sent)
        patch.setattr(BaseHandler, "get_response", answered)
        patch.setattr(http.client.HTTPConnection, "putrequest", asked)
        patch.setattr(http.client.HTTPConnection, "getresponse", received)
        got_request_exception.connect(note)
        yield found
        got_request_exception.disconnect(note)
