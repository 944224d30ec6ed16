"""Runs decoders: processes with limits on memory and time, so that a photo that crashes one harms no web process.

Each decoder is a separate program that is connected by a socket. A pool of ``multiprocessing`` would run the site's
main program in each process (or fork a process that has threads), and would unpickle data from a process that decodes
hostile files. A decoder that dies affects only its own photo. Decoders end when this process ends and so closes their
sockets.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from django.utils.translation import gettext as _

from ..conf import MIB, config
from ..decoding import messages
from ..decoding.messages import Task
from ..errors import DecodersUnavailable
from .errors import TookTooLong, Undecodable

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
# A decoder is replaced after this many photos, in case its libraries leak memory.
PHOTOS = 1000


class _Decoder:
    """A decoder process. It decodes one photo at a time."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join([*map(os.path.abspath, sys.path), str(ROOT)])
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [_python(), "-P", "-m", "socialsongs.decoding"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=environment,
                )
            except BaseException:
                ours.close()
                raise
        self.photos = 0
        self._socket = ours
        self._stream = ours.makefile("rwb")
        self._socket.settimeout(START_SECONDS)
        try:
            messages.read(self._stream)
        except BaseException:
            self.end()
            raise

    def ask(self, message: dict[str, Any], *parts: bytes, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        """Send a message and return the answer. Raises TimeoutError, or EOFError or OSError when the process died."""
        self.photos += 1
        self._socket.settimeout(seconds)
        messages.write(self._stream, message, *parts)
        return messages.read(self._stream)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """Kill the process; return its exit status, negative for a signal."""
        if self._process.poll() is None:
            self._process.kill()
        with suppress(OSError):  # unsent data
            self._stream.close()
        self._socket.close()
        return int(self._process.wait())

    def close_in_fork(self) -> None:
        """Close a fork's copy of the socket: the decoder ends only when all copies are closed."""
        self._stream.close()
        self._socket.close()


def _python() -> str:
    """Return this environment's interpreter, also inside a server that embeds Python."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    return str(Path(sys.prefix) / "bin" / "python3")


class _Pool:
    def __init__(self, size: int) -> None:
        self._free = BoundedSemaphore(size)
        self._idle: list[_Decoder] = []

    def decode(self, task: Task, content: bytes, profile: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """Return a decoder's answer. Raises TookTooLong, Undecodable or DecodersUnavailable."""
        limits = config()
        if not self._free.acquire(timeout=limits.DECODE_SECONDS):
            raise DecodersUnavailable(_("Many photos are being processed at the moment. Try again in a few seconds."))
        try:
            decoder = self._take_decoder()
            message = asdict(task) | {"memory": limits.DECODE_MEMORY_MIB * MIB, "seconds": limits.DECODE_CPU_SECONDS}
            try:
                answer = decoder.ask(message, content, profile, seconds=limits.DECODE_SECONDS)
            except TimeoutError as error:
                decoder.end()
                raise _too_long() from error
            except (EOFError, OSError) as error:
                if decoder.end() == -signal.SIGPROF:
                    raise _too_long() from error
                raise Undecodable(
                    _("The photo could not be decoded. Export a fresh copy of it, or choose another one.")
                ) from error
            except BaseException:  # the thread is interrupted: the next photo would get this one's answer
                decoder.end()
                raise
            self._put_back_decoder(decoder)
            return answer
        finally:
            self._free.release()

    def _take_decoder(self) -> _Decoder:
        while self._idle:
            decoder = self._idle.pop()
            if decoder.is_alive():
                return decoder
            decoder.end()
        try:
            return _Decoder()
        except (OSError, EOFError) as error:
            raise DecodersUnavailable(_("No photo can be processed now. Try again in a few seconds.")) from error

    def _put_back_decoder(self, decoder: _Decoder) -> None:
        if decoder.photos < PHOTOS:
            self._idle.append(decoder)
        else:
            decoder.end()

    def end(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def close_in_fork(self) -> None:
        for decoder in self._idle:
            decoder.close_in_fork()


def _too_long() -> TookTooLong:
    return TookTooLong(_("Decoding the photo takes too long. Send a smaller copy of it."))


@cache
def _pool(size: int) -> _Pool:
    pool = _Pool(size)
    atexit.register(pool.end)
    os.register_at_fork(after_in_child=pool.close_in_fork)
    return pool


def decode(task: Task, content: bytes, profile: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Decode a photo by the pool of this process; see ``_Pool.decode``."""
    return _pool(config().DECODE_PROCESSES).decode(task, content, profile)


# A fork starts without decoders: two processes on one socket would get each other's photos.
os.register_at_fork(after_in_child=_pool.cache_clear)
