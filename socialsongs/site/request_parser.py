"""How the web server reads a request: times and sizes that headers and bodies may take, and who may send large ones."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.conf import settings
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge

from ..bodies import photo_bytes

HEADER_SECONDS = 15
# A body may take this long, and a second more for each of so many bytes.
BODY_SECONDS = 30
BODY_BYTES_PER_SECOND = 1024
CHUNK_LINE_BYTES = 1024


def claims_login(headers: Mapping[str, str]) -> bool:
    return "AUTHORIZATION" in headers or f"{settings.SESSION_COOKIE_NAME}=" in headers.get("COOKIE", "")


class TooLarge(RequestEntityTooLarge):  # type: ignore[misc]
    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        from ..api.problem import CONTENT_TYPE, problem  # gunicorn reads this module before Django is set up

        body = problem(self.code, code="body_too_large", detail=self.body)
        return f"{self.code} {self.reason}", [("Content-Type", CONTENT_TYPE)], json.dumps(body).encode()


class DiscardingBuffer:
    """The buffer of a body that is discarded."""

    def append(self, data: bytes) -> None: ...

    def __len__(self) -> int:
        return 0

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None: ...


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    error: Any
    body_rcv: Any
    expect_continue: bool

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.started = time.monotonic()
        self.limit = 0
        self.unchecked = False  # a large body with a login that was not checked yet

    def parse_header(self, header_plus: bytes) -> None:
        """Set the limit of the body: who is not logged in may send little."""
        lower = header_plus.lower()
        if b"\ncontent-length:" in lower and b"\ntransfer-encoding:" in lower:
            raise ParsingError("Content-Length beside Transfer-Encoding: two servers may see two ends. Send one")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a malformed address, a length of 5,000 digits
            raise ParsingError("The head of the request is invalid") from error
        small: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        self.limit = photo_bytes() if claims_login(self.headers) else small
        if self.content_length > self.limit:
            self._refuse()
        else:
            self.unchecked = self.limit > small and (self.chunked or self.content_length > small)

    def note_login(self, is_known: bool) -> None:
        """Discard the body when the login is not valid: the application answers from the head alone."""
        self.unchecked = False
        if is_known:
            return
        if self.chunked:  # its length is not known yet
            self.limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        else:
            self._discard_body()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.error is None and self.body_bytes_received > self.limit:
            self._refuse()
        # waitress would copy an endless line of a chunked body again with each piece of it.
        held = getattr(self.body_rcv, "control_line", b""), getattr(self.body_rcv, "trailer", b"")
        if max(map(len, held)) > CHUNK_LINE_BYTES:
            self.error, self.completed = BadRequest("A line of the chunked body is too long"), True
        return consumed

    def _refuse(self) -> None:
        login = "" if self.limit > settings.DATA_UPLOAD_MAX_MEMORY_SIZE else " without a login"
        self.error = TooLarge(
            f"A request{login} may have at most {self.limit // 1024} KiB. Send less, or log in first."
        )
        self._discard_body()

    def _discard_body(self) -> None:
        if self.expect_continue:  # the client has not sent the body yet and need not
            self.expect_continue, self.body_rcv = False, None
            self.completed = True
            self.headers["CONNECTION"] = "close"
        else:
            self.body_rcv.getbuf().close()
            self.body_rcv.buf = DiscardingBuffer()

    @property
    def is_late(self) -> bool:
        allowed = HEADER_SECONDS
        if self.headers_finished:
            allowed = BODY_SECONDS + self.body_bytes_received // BODY_BYTES_PER_SECOND
        return time.monotonic() - self.started > allowed
