"""Exceptions that say how a row leaves its claim.

PermanentFailure fails the row, Outage delays it, ReleaseChanged hands it back. Any other
exception puts the row back, and its attempt counts.
"""

from __future__ import annotations


class PermanentFailure(Exception):
    """The row can never succeed. ``reason`` is the code that the poster gets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Outage(Exception):
    """Something outside failed. ``reason`` is the code that the poster gets when the outage lasts too long."""

    def __init__(self, reason: str, why: BaseException) -> None:
        super().__init__(f"{reason}: {why!r}")
        self.reason = reason


class OutOfMemory(Outage):
    """Not even one item fits into the memory of the device now."""

    def __init__(self, why: BaseException) -> None:
        super().__init__("out_of_memory", why)


class ReleaseChanged(Exception):
    """The release no longer serves. What it computed is discarded, and the release that serves now answers."""
