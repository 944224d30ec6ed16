"""The one settings dict: ``SOCIALSONGS = {...}`` in the host's Django settings.

Every key is optional. Values are read at use, so ``override_settings`` works in tests,
and a wrong name or type is refused at once with a message that names the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache
from math import inf
from typing import Any, get_type_hints

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .codes import market_code

MIB = 1024 * 1024
RATE = re.compile(r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Typed view of ``settings.SOCIALSONGS``; sizes in bytes or pixels, times in seconds."""

    # Where work is announced. The rows are the truth, the broker only carries "there is work".
    BROKER_URL: str = "redis://localhost:6379/0"

    # Uploads (socialsongs/intake).
    MAX_UPLOAD_BYTES: int = 15 * MIB
    MAX_PIXELS: int = 50_000_000
    MAX_FRAMES: int = 200
    MAX_PHOTOS_PER_POST: int = 10
    STORED_LONG_SIDE: int = 1600
    JPEG_QUALITY: int = 88
    # Photos of one person that may wait for a worker at a time.
    MAX_WAITING_PHOTOS: int = 200
    # Processes of each web process that decode photos; for one photo: memory, time of the processor, time by the clock.
    DECODE_PROCESSES: int = 2
    DECODE_MEMORY_MIB: int = 224
    DECODE_CPU_SECONDS: float = 3.0
    DECODE_SECONDS: float = 15.0

    # Previews of songs (socialsongs/audio.py).
    MAX_PREVIEW_BYTES: int = 10 * MIB

    # Suggestions.
    SUGGESTIONS: int = 10
    MAX_SUGGESTIONS: int = 50
    CANDIDATES: int = 300
    # Where the people are whose requests do not say so, as in ISO 3166; None: songs of all markets.
    MARKET: str | None = None
    # How the list is chosen from the candidates; in standard deviations of a photo's relevances, 0: not at all.
    DIVERSITY: float = 2.7
    SONGS_PER_ARTIST: int = 1
    POPULARITY: float = 0.1
    TASTE: float = 0.3
    # Share of the lists in which one place goes to a song from further down, so that there is something to learn from.
    EXPLORATION: float = 0.1
    # The latest choices and skips of a person that count as their taste.
    TASTE_EVENTS: int = 50
    # How long an API request for suggestions waits for a worker before it says where to ask again.
    ANSWER_SECONDS: float = 3.0
    # Posts older than that are deleted by `manage.py forget`; None: never.
    RETENTION_DAYS: int | None = None

    # Workers: how long a claim lasts, how often a row is tried and how long an outage may delay it, how long one
    # drain task runs, how large batches get.
    LEASE_SECONDS: int = 60
    MAX_ATTEMPTS: int = 3
    OUTAGE_SECONDS: int = 3600
    TASK_BUDGET_SECONDS: int = 20
    VISIBILITY_TIMEOUT_SECONDS: int = 120
    RECONCILE_SECONDS: int = 5
    INTERACTIVE_BATCH: int = 16
    BULK_BATCH: int = 64
    BULK_MILLISECONDS: int = 80
    HEARTBEAT_SECONDS: int = 5
    SONG_CACHE_MIB: int = 256

    # The model: a folder with releases (None: the ones that ship) and where it runs.
    RELEASES_DIR: str | None = None
    DEVICE: str = "auto"

    # Requests per user, in DRF's notation.
    UPLOAD_RATE: str = "60/hour"
    REQUEST_RATE: str = "240/hour"
    READ_RATE: str = "1200/hour"
    FEEDBACK_RATE: str = "1200/hour"


@cache
def config() -> Config:
    """The resolved configuration. Raises ImproperlyConfigured for an unknown key or a wrong type."""
    given: dict[str, Any] = getattr(settings, "SOCIALSONGS", {})
    known = {field.name for field in fields(Config)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ImproperlyConfigured(f"SOCIALSONGS has unknown keys {unknown}. Known keys: {', '.join(sorted(known))}.")
    hints = get_type_hints(Config)
    for key, value in given.items():
        number = hints[key] is float
        if isinstance(value, bool) or not isinstance(value, (int | float) if number else hints[key]):
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] must be {hints[key]}, got {value!r}.")
        if number and not 0 <= value < inf:
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] must be 0 or more, got {value}.")
        if key == "EXPLORATION" and value > 1:
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] is a share of the lists, from 0 to 1, got {value}.")
        if key in ("DECODE_SECONDS", "DECODE_CPU_SECONDS") and not value:
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] must be more than 0.")
        if isinstance(value, int) and not number and value <= 0:
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] must be positive, got {value}.")
        if isinstance(value, str) and key.endswith("_RATE") and not RATE.fullmatch(value):
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] must be a rate such as 60/hour, got {value!r}.")
        if key == "MARKET" and isinstance(value, str) and not _is_market(value):
            raise ImproperlyConfigured(
                f"SOCIALSONGS[{key!r}] must be two capital letters, as in ISO 3166 (GB, not UK), got {value!r}."
            )
    found = Config(**given)
    if found.SUGGESTIONS > found.MAX_SUGGESTIONS:
        raise ImproperlyConfigured(
            f"SOCIALSONGS['SUGGESTIONS'] is {found.SUGGESTIONS}, more than 'MAX_SUGGESTIONS', {found.MAX_SUGGESTIONS}."
        )
    if found.MAX_PHOTOS_PER_POST > found.MAX_WAITING_PHOTOS:
        raise ImproperlyConfigured(
            f"SOCIALSONGS['MAX_WAITING_PHOTOS'] is {found.MAX_WAITING_PHOTOS}, less than a post may hold: "
            f"'MAX_PHOTOS_PER_POST' is {found.MAX_PHOTOS_PER_POST}."
        )
    return found


def _is_market(text: str) -> bool:
    try:
        return market_code(text) == text
    except ValueError:
        return False


def _forget(*, setting: str, **_: object) -> None:
    if setting == "SOCIALSONGS":
        config.cache_clear()


setting_changed.connect(_forget)
