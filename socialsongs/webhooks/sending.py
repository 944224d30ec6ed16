"""Sends one request to an endpoint: no redirects, no proxies, no more time and no more of the answer than allowed."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from ..conf import config
from ..errors import BadWebhookUrl
from .addresses import PORTS, connect, is_allowed

CONNECT_SECONDS = 5.0
MOST_OF_ANSWER = 16 * 1024  # bytes that are read of an answer, where it is read at all
LONGEST_URL = 500


@dataclass(frozen=True)
class Target:
    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class EndpointAnswer:
    status: int
    body: bytes  # its first MOST_OF_ANSWER bytes; empty unless asked for
    retry_after: int  # seconds; 0: none


class SendingFailed(Exception):
    """There was no answer."""


def target_of(url: str) -> Target:
    """Return where a webhook goes. Raises BadWebhookUrl."""
    allow_http = config().WEBHOOK_ALLOW_HTTP
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadWebhookUrl(_("Give an address of up to %(most)s printable ASCII characters.") % {"most": LONGEST_URL})
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadWebhookUrl(_("This is no address: %(problem)s.") % {"problem": error}) from error
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http):
        raise BadWebhookUrl(
            _("Give an address that begins with https://.") if not allow_http else _("Use http or https.")
        )
    if not parts.hostname:
        raise BadWebhookUrl(_("The address names no host."))
    if "@" in parts.netloc:
        raise BadWebhookUrl(_("Leave user and password out of the address: webhooks are signed."))
    if parts.fragment:
        raise BadWebhookUrl(_("Leave out what follows #: it is never sent."))
    port = port if port is not None else (443 if parts.scheme == "https" else 80)
    if port < 1024 and port not in PORTS:
        raise BadWebhookUrl(
            _("Webhooks are not sent to port %(port)s: use 443, 80, or one from 1024.") % {"port": port}
        )
    with suppress(ValueError):
        if not is_allowed(ip_address(parts.hostname)):
            raise BadWebhookUrl(
                _("Webhooks may not be sent to %(host)s (WEBHOOK_ALLOWED_NETWORKS).") % {"host": parts.hostname}
            )
    path = parts.path or "/"
    return Target(parts.scheme, parts.hostname, port, f"{path}?{parts.query}" if parts.query else path)


class _Connection(http.client.HTTPConnection):
    """A connection to an allowed address, which is shut down at the deadline, whatever is going on."""

    def __init__(self, target: Target, deadline: float) -> None:
        super().__init__(target.host, target.port)
        if target.scheme == "https":
            self.default_port = 443  # leaves the usual port out of the header Host
        self._target, self._deadline = target, deadline
        self._alarm: threading.Timer | None = None

    def connect(self) -> None:
        opened = connect(self.host, self.port, deadline=self._deadline, connect_seconds=CONNECT_SECONDS)
        left = max(0.0, self._deadline - time.monotonic())
        self._handle = opened.dup()  # shares the connection, and stays a plain socket beside TLS
        self._alarm = threading.Timer(left, self._shut_down)
        self._alarm.daemon = True
        self._alarm.start()
        opened.settimeout(left or 0.001)
        self.sock = opened
        if self._target.scheme == "https":
            self.sock = _tls().wrap_socket(opened, server_hostname=self.host)

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close all; http.client calls ``close`` itself, before the answer's body is read."""
        self.close()
        if self._alarm is not None:
            self._alarm.cancel()
            self._handle.close()


class _Beginning(io.RawIOBase):
    """The first bytes of an answer, and then its end."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source, self._left = source, 2 * MOST_OF_ANSWER  # chunks have bytes of their own

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._source.readinto1(memoryview(buffer)[: self._left])
        self._left -= count
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def send(url: str, body: bytes, headers: Mapping[str, str], *, read: bool = False) -> EndpointAnswer:
    """POST a body and return the answer, whatever its status; ``read``: with the beginning of its body.

    Raises SendingFailed, with what to tell staff, when there is no answer in WEBHOOK_SECONDS.
    """
    seconds = config().WEBHOOK_SECONDS
    deadline = time.monotonic() + seconds
    try:
        target = target_of(url)  # again: the settings may have changed
        connection = _Connection(target, deadline)
        try:
            connection.request("POST", target.path, body, dict(headers))
            answer = connection.getresponse()
            with answer:
                answer.fp = io.BufferedReader(_Beginning(answer.fp))  # whatever the answer says of its own length
                beginning = answer.read(MOST_OF_ANSWER) if read else b""
        finally:
            connection.release()
    except (BadWebhookUrl, OSError, http.client.HTTPException, UnicodeError) as error:
        if time.monotonic() >= deadline:
            raise SendingFailed(f"There was no answer within {seconds:g} s.") from error
        # What the endpoint sent is not shown: HTTPException repeats it.
        said = (
            type(error).__name__ if isinstance(error, http.client.HTTPException) else f"{type(error).__name__}: {error}"
        )
        raise SendingFailed("".join(filter(str.isprintable, said))[:500]) from error
    if time.monotonic() >= deadline:
        raise SendingFailed(f"The answer was not complete within {seconds:g} s.")
    later = answer.headers.get("Retry-After", "")
    return EndpointAnswer(answer.status, beginning, int(later) if later.isdecimal() and len(later) < 7 else 0)
