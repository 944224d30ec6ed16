"""Decodes one photo after another from the socket at standard input, until the web process closes it or ends."""

from __future__ import annotations

import resource
import signal
import socket
import struct
from pathlib import Path

from PIL import Image

from .decode import Damaged, ManyFrames, decode
from .messages import Task, read, write

MIB = 1024 * 1024
# Memory beside the picture itself: its file, bands of rows, the output.
WORKING_SPACE = 32 * MIB
# Errors that Pillow and its plugins raise for damaged files.
DAMAGE = (Damaged, OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, RuntimeError, struct.error)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the web process, which then closes the socket
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.preinit()
    own = _data_bytes()
    with socket.socket(fileno=0) as channel, channel.makefile("rwb") as stream:
        write(stream, {"ready": True})
        while True:
            try:
                message, (content, profile) = read(stream)
            except EOFError:
                return
            _limit(own + message.pop("memory") + WORKING_SPACE, message.pop("seconds"))
            try:
                jpeg, size = decode(Task(**message), content, profile)
            except MemoryError:
                write(stream, {"refused": "memory"})
            except ManyFrames as error:
                write(stream, {"refused": "frames", "frames": int(str(error))})
            except DAMAGE:
                write(stream, {"refused": "damage"})
            else:
                write(stream, {"width": size[0], "height": size[1]}, jpeg)
            del content, profile


def _data_bytes() -> int:
    """Return the private, writable memory of this process in bytes, as RLIMIT_DATA counts it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024


def _limit(memory: int, seconds: float) -> None:
    """Set the limits of the next photo: bytes of memory, and seconds of processor time; a signal enforces these."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
