"""Why a row is not done, as types: for good, for now, or because another release answers by now.

Any other exception is the row's own fault and uses up an attempt.
"""

from __future__ import annotations


class PermanentFailure(Exception):
    """Trying again will not help; ``reason`` is the code the poster is told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Outage(Exception):
    """Something outside does not work for now; ``reason`` is the code the poster is told if that lasts."""

    def __init__(self, reason: str, why: BaseException) -> None:
        super().__init__(f"{reason}: {why!r}")
        self.reason = reason


class OutOfMemory(Outage):
    """Not even one item fits on the device at this moment."""

    def __init__(self, why: BaseException) -> None:
        super().__init__("out_of_memory", why)


class ReleaseChanged(Exception):
    """Another release answers by now: what this one found is dropped, the row is taken anew."""
