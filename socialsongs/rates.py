"""Limits how often somebody may do something in any period of a given length, counted in Django's cache.

Each count is one atomic operation of the cache server (``add``, ``incr``), so a limit also holds for simultaneous
requests: across all processes with Redis and Memcached, within one process with the local-memory cache. The file and
database caches do not count atomically: their limits are good enough for people, but not against an attacker. When the
cache fails, nobody is refused (``outages``).
"""

from __future__ import annotations

import time
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from django.core.cache import cache

from .outages import ask_cache

# A period is counted in this many steps. A request stops counting when its step has passed, so up to one step early.
STEPS = 30
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Quota(NamedTuple):
    """What a rate allows, and what is left of it after a call."""

    most: int  # calls in any period
    period: int  # seconds
    left: int  # calls that are left now
    renews: float  # seconds until more are left
    refused: bool  # whether the call was too much; then it is not counted
    counted_in: str = ""  # key of the count in the cache; empty where the cache failed


def use_quota(*, name: str, rate: str) -> Quota:
    """Count a call under this name, unless the rate refuses it, and return what is left."""
    most, _, unit = rate.partition("/")
    whole = Quota(int(most), SECONDS[unit[0]], int(most), 0.0, refused=False)
    return ask_cache(lambda: _use(name, whole), otherwise=whole)


def give_back(quota: Quota) -> Quota:
    """Count a call no longer that was allowed, and return what is left then."""
    if not quota.counted_in:
        return quota
    ask_cache(lambda: _add(quota.counted_in, -1, timeout=quota.period, there=True), otherwise=None)
    return quota._replace(left=quota.left + 1)


def _use(name: str, whole: Quota) -> Quota:
    step = whole.period / STEPS
    now = time.time()
    latest = int(now / step)
    keys = {number: f"socialsongs-rate-{name}-{number}" for number in range(latest - STEPS + 1, latest + 1)}
    found = cache.get_many(keys.values())
    ours = keys.pop(latest)
    counted = _add(ours, 1, timeout=whole.period + ceil(step), there=ours in found)
    # A value that is not a whole number was not written here.
    earlier = {number: found.get(key) for number, key in keys.items()}
    used = {number: count if isinstance(count, int) else 0 for number, count in earlier.items()} | {latest: counted}
    over = sum(used.values()) - whole.most
    if over > 0:
        _add(ours, -1, timeout=whole.period, there=True)
    # Find the oldest step after whose end enough calls no longer count.
    enough = max(over, 1)
    number = next(number for number, gone in zip(used, accumulate(used.values()), strict=True) if gone >= enough)
    renews = max((number + STEPS) * step - now, 0.001)
    return whole._replace(left=max(-over, 0), renews=renews, refused=over > 0, counted_in=ours)


def _add(key: str, how_many: int, timeout: int, *, there: bool) -> int:
    """Add to a count and return it; ``there``: whether the key was there a moment ago, which saves a question."""
    if not there and cache.add(key, how_many, timeout):
        return how_many
    try:
        return cache.incr(key, how_many)
    except ValueError:  # the cache evicted the key meanwhile
        return how_many
