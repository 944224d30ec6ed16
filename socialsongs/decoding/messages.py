"""Messages between web process and decoder: JSON, then bytes. Reading them runs no code, unlike pickles."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from io import BufferedRWPair
from typing import Any

HEAD = struct.Struct(">I")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A photo's header, and the limits of its conversion: most ``frames``, ``side`` as the most pixels of the longer
    side, ``quality`` of the JPEG. ``complete``: False for a JPEG without its end marker."""

    format: str
    width: int
    height: int
    orientation: int
    complete: bool
    frames: int
    side: int
    quality: int


def write(stream: BufferedRWPair[Any, Any], message: dict[str, Any], *parts: bytes) -> None:
    head = json.dumps({**message, "parts": [len(part) for part in parts]}).encode()
    for part in (HEAD.pack(len(head)), head, *parts):
        stream.write(part)
    stream.flush()


def read(stream: BufferedRWPair[Any, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """Return a message and its parts. Raises EOFError when the other process has ended."""
    (length,) = HEAD.unpack(_exactly(stream, HEAD.size))
    message: dict[str, Any] = json.loads(_exactly(stream, length))
    return message, [_exactly(stream, size) for size in message.pop("parts")]


def _exactly(stream: BufferedRWPair[Any, Any], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError("The other process has ended.")
    return found
