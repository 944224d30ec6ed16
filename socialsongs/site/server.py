"""The web server: gunicorn starts and watches processes; in each, waitress reads requests and answers them.

- A thread takes a request when all of it has arrived, and the next request of the connection when the answer is sent:
  connections that send or read slowly hold no thread.
- Headers and bodies must arrive within a time.
- The rest of a body that is too large is read and discarded, so that its sender gets the answer.
- Before a large body is read, a thread checks the login of its sender (``visitors.py``).
"""

from __future__ import annotations

import ipaddress
import logging
import os
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any
from wsgiref.util import FileWrapper

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, ThreadedTaskDispatcher, WSGITask

from .request_parser import RequestParser

CONNECTIONS = 500  # of one process; each takes time in every turn of its loop
HEADER_BYTES = 32 * 1024
IDLE_SECONDS = 30  # of a connection between two requests, and of a client that reads nothing
DISCARDED_BYTES = 1024 * 1024 * 1024  # of a refused body that are read before the connection is closed
TURN_SECONDS = 0.5


Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class LoggedTask(Task):  # type: ignore[misc]
    """A task that writes a line to gunicorn's access log."""

    environ: dict[str, Any] | None = None

    def service(self) -> None:
        try:
            super().service()
        finally:
            request = self.request
            environ = {
                "REMOTE_ADDR": self.channel.addr[0],
                "REQUEST_METHOD": getattr(request, "command", "-"),
                "SERVER_PROTOCOL": f"HTTP/{request.version}",
                **(self.environ or {}),
                "RAW_URI": getattr(request, "request_uri", "-"),
            }
            sent = self.content_bytes_written if self.content_length is None else self.content_length
            answer = SimpleNamespace(status=self.status, headers=self.response_headers, sent=sent)
            took = timedelta(seconds=max(0.0, time.time() - self.start_time))
            self.channel.server.worker.log.access(answer, request.headers, environ, took)


class AnswerTask(LoggedTask, WSGITask):  # type: ignore[misc]
    def get_environment(self) -> dict[str, Any]:
        is_built = self.environ is not None
        environ: dict[str, Any] = super().get_environment()
        if not is_built:
            environ["wsgi.file_wrapper"] = file_wrapper
            environ["wsgi.multiprocess"] = True
            environ["REMOTE_ADDR"] = self.channel.server.worker.client(
                environ["REMOTE_ADDR"], environ.get("HTTP_X_FORWARDED_FOR", "")
            )
        return environ


class RefusalTask(LoggedTask, ErrorTask): ...  # type: ignore[misc]


def without_body(application: Application) -> Application:
    """Wrap an application so that answers to HEAD have no body; waitress would send one."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = application(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return body
        if close := getattr(body, "close", None):
            close()
        return []

    return answer


def file_wrapper(file: Any, block_size: int) -> Iterable[bytes]:
    """Return a body that waitress sends without holding a thread, if the file is local; else the thread reads it."""
    try:
        file.fileno()
    except (AttributeError, OSError):
        return FileWrapper(file, block_size)
    wrapped: Iterable[bytes] = ReadOnlyFileBasedBuffer(file, block_size)
    return wrapped


class LoginCheck:
    """The task that checks a login before the body of its request is read."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def service(self) -> None:
        from .visitors import is_known  # gunicorn reads this module before Django is set up

        known = True  # when the check fails, the application answers
        try:
            known = is_known(self.channel.request.headers)
        finally:
            self.channel.is_known = known
            self.channel.server.pull_trigger()

    def cancel(self) -> None: ...


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that takes one request at a time. waitress's own takes all that have arrived, and a thread waits
    until the client has read the earlier answers."""

    parser_class = RequestParser
    task_class = AnswerTask
    error_task_class = RefusalTask
    request: Any
    sent_continue: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.whole_at = self.creation_time  # when the last whole request arrived
        self.rest = b""  # bytes behind the request that is answered or checked
        self.is_waiting = False  # for the check of the login, ...
        self.is_known: bool | None = None  # ... and its result

    def received(self, data: bytes) -> bool:
        self.rest += data
        with self.requests_lock:
            if self.will_close or self.close_when_flushed:
                return False
            while self.rest and not self.requests and not self.is_waiting:
                self.request = self.request or self.parser_class(self.adj)
                self.rest = self.rest[self.request.received(self.rest) :]
                if self.request.unchecked:
                    self.is_waiting, self.is_known = True, None
                    self.server.add_task(LoginCheck(self))
                else:
                    self._go_on()
        return True

    def _go_on(self) -> None:
        if self.request.expect_continue and self.request.headers_finished and not self.sent_continue:
            self.send_continue()
        if self.request.completed:
            self._answer()

    def _answer(self) -> None:
        request, self.request, self.sent_continue = self.request, None, False
        if not request.empty:
            self.whole_at = time.time()
            self.requests.append(request)
            self.server.add_task(self)

    def readable(self) -> bool:
        """Go on with a request whose login was checked, then say whether to read more; the loop asks in every turn."""
        if self.is_waiting and self.is_known is not None:
            self.is_waiting = False
            with self.requests_lock:
                self.request.note_login(self.is_known)
                self._go_on()
        if self.rest and not self.requests and not self.total_outbufs_len:
            self.received(b"")
        return not self.is_waiting and bool(super().readable())

    @property
    def is_busy(self) -> bool:
        return bool(self.requests or self.request or self.rest or self.total_outbufs_len)


class Server(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel
    worker: BufferingWorker

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in self.active_channels.values():
            is_late = channel.request and not channel.requests and channel.request.is_late
            if is_late or (channel.total_outbufs_len and channel.last_activity < now - IDLE_SECONDS):
                channel.will_close = True

    def handle_accept(self) -> None:
        """Accept a connection; beyond the limit, close the one whose last whole request is the oldest."""
        super().handle_accept()
        channels = [channel for channel in self.active_channels.values() if not channel.will_close]
        if len(channels) > CONNECTIONS and (waiting := [channel for channel in channels if not channel.requests]):
            min(waiting, key=lambda channel: channel.whole_at).will_close = True


class BufferingWorker(Worker):  # type: ignore[misc]
    """What gunicorn's ``--worker-class`` names. Listens on TCP only."""

    def run(self) -> None:
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # do not log that all threads are busy
        adjustments = Adjustments(
            threads=self.cfg.threads,
            backlog=self.cfg.backlog,
            connection_limit=2 * CONNECTIONS,  # never reached: handle_accept() closes others before
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            max_request_header_size=HEADER_BYTES,
            max_request_body_size=DISCARDED_BYTES,
            clear_untrusted_proxy_headers=False,  # settings.py says whether X-Forwarded-Proto is trusted
            recv_bytes=64 * 1024,
            ident="",
            log_socket_errors=False,
        )
        threads = ThreadedTaskDispatcher()
        threads.set_thread_count(self.cfg.threads)
        loop: dict[int, Any] = {}
        servers = [self._listen(listener.sock, adjustments, threads, loop) for listener in self.sockets]
        while self.alive and self.ppid == os.getppid():
            self._turn(loop)
        for server in servers:
            wasyncore.dispatcher.close(server)
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while any(isinstance(one, Channel) and one.is_busy for one in loop.values()) and time.monotonic() < deadline:
            self._turn(loop)
        threads.shutdown(timeout=0)

    def _listen(self, listener: Any, adjustments: Adjustments, threads: Any, loop: dict[int, Any]) -> Server:
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        server = Server(
            without_body(self.wsgi),
            loop,
            True,
            listener,
            dispatcher=threads,
            adj=adjustments,
            sockinfo=where,
            bind_socket=False,
        )
        server.worker = self
        return server

    def _turn(self, loop: dict[int, Any]) -> None:
        self.notify()
        wasyncore.loop(timeout=TURN_SECONDS, use_poll=True, map=loop, count=1)

    @cached_property
    def _proxies(self) -> Any:
        return self.cfg.forwarded_allow_networks()

    def client(self, peer: str, forwarded: str) -> str:
        """Return the client's address: the last that one of our proxies (FORWARDED_ALLOW_IPS) saw, else the peer."""
        last = forwarded.rpartition(",")[2].strip()
        try:
            known = "*" in self.cfg.forwarded_allow_ips or any(
                ipaddress.ip_address(peer) in network for network in self._proxies
            )
            return str(ipaddress.ip_address(last)) if known else peer
        except ValueError:
            return peer
