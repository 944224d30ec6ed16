"""The one settings dict: ``SOCIALSONGS = {...}`` in the host's Django settings.

Every key is optional. Values are read at use, so ``override_settings`` works in tests, and a wrong name, type or value
is refused at once with a message that names the key. The table in docs/operations.md is written from the fields below
(``make settings``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from typing import Any, get_origin, get_type_hints

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from . import celery_settings
from .codes import market_code

MIB = 1024 * 1024
RATE = re.compile(r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)")
QUEUE_PREFIX = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,26}[a-z0-9])?")
PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def _setting(
    default: Any, about: str, *, unit: str = "", least: float | None = None, most: float | None = None,
    above: float | None = None, kind: str = "", default_text: str = "",
) -> Any:  # fmt: skip
    """A field with what its checks and its line in the docs need.

    Bounds are ``least`` and ``most`` (allowed themselves) and ``above`` (not allowed itself); a whole number must be at
    least 1 unless ``least`` says otherwise. ``kind``: "rate", "market", "networks", "queue prefix" or "path" (dotted,
    to a function), for texts of that form.
    """
    if least is None and above is None and isinstance(default, int) and not isinstance(default, bool):
        least = 1
    bounds = {"least": least, "most": most, "above": above}
    about_it = {"about": about, "unit": unit, "kind": kind, "default_text": default_text}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=bounds | about_it | {"default_text": "{}"})
    return field(default=default, metadata=bounds | about_it)


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Typed view of ``settings.SOCIALSONGS``."""

    BROKER_URL: str = _setting(
        "redis://localhost:6379/0",
        "the broker that carries wake-ups; the database's rows say what there is to do",
    )
    CELERY_APP: str | None = _setting(
        None,
        "path of your own Celery app (`yours.celery.app`): wake-ups then go through it, over its broker",
        default_text="none: an app of the plugin's own",
    )
    CELERY: dict[str, Any] = _setting(  # noqa: RUF009
        {},
        "settings of Celery for the plugin's own app, in lower-case names: how the broker is reached (TLS, transport "
        "options) and how workers log; no `CELERY_...` of your settings applies to it",
    )
    QUEUE_PREFIX: str = _setting(
        "socialsongs",
        "begins the names of the queues; two installations on one Redis need two",
        kind="queue prefix",
    )

    # Uploads (socialsongs/intake)
    MAX_UPLOAD_BYTES: int = _setting(15 * MIB, "largest file of one photo", unit="bytes", default_text="15 MiB")
    MAX_PIXELS: int = _setting(50_000_000, "largest photo", unit="pixels", default_text="50,000,000")
    MAX_FRAMES: int = _setting(200, "most frames of an animated picture, of which the first is used")
    MAX_PHOTOS_PER_POST: int = _setting(10, "most photos of one post")
    MAX_WAITING_PHOTOS: int = _setting(
        200, "most photos of one person that wait for a worker; a further upload is answered 429"
    )
    DECODE_PROCESSES: int = _setting(
        2,
        "decoders of each web process, started with the first photo; each takes about 45 MB while idle",
        unit="processes",
    )
    DECODE_MEMORY_MIB: int = _setting(
        224,
        "memory for one photo, beside about 75 MB of the decoder itself; a photo that needs more is refused",
        unit="MiB",
    )
    DECODE_CPU_SECONDS: float = _setting(
        3.0, "processor time for one photo; raise it where the processor is slow", unit="seconds", above=0
    )
    DECODE_SECONDS: float = _setting(
        15.0,
        "elapsed time for one photo, and the longest wait for a free decoder, after which the answer is 503",
        unit="seconds",
        above=0,
    )
    STORED_LONG_SIDE: int = _setting(1600, "long side of a stored photo; larger ones are shrunk", unit="pixels")
    JPEG_QUALITY: int = _setting(88, "JPEG quality of stored photos")

    # Previews of songs (socialsongs/audio.py)
    MAX_PREVIEW_BYTES: int = _setting(10 * MIB, "largest file of one preview", unit="bytes", default_text="10 MiB")

    # Suggestions
    SUGGESTIONS: int = _setting(10, "songs that a request asks for unless it says otherwise")
    MAX_SUGGESTIONS: int = _setting(50, "most songs that a request may ask for")
    CANDIDATES: int = _setting(300, "songs that stage one finds for stage two to rank")
    MARKET: str | None = _setting(
        None,
        "market (ISO 3166) of requests that name none; songs of other markets are left out",
        kind="market",
        default_text="none: songs of all markets",
    )
    DIVERSITY: float = _setting(
        2.7,
        "how much utility a song loses that is like all others of the list; see [choosing.md](choosing.md)",
        unit="standard deviations",
        least=0,
    )
    SONGS_PER_ARTIST: int = _setting(1, "most songs of one artist in a list while there are songs by others")
    POPULARITY: float = _setting(0.1, "how much the most popular song is raised", unit="standard deviations", least=0)
    TASTE: float = _setting(
        0.3,
        "how much a person's taste moves a song, where the host turned it on for them",
        unit="standard deviations",
        least=0,
    )
    TASTE_EVENTS: int = _setting(50, "latest choices and skips of a person that make up their taste")
    EXPLORATION: float = _setting(
        0.1,
        "share of the lists in which one position goes to a song from further down, so that the site can learn",
        least=0,
        most=1,
    )
    ANSWER_SECONDS: float = _setting(
        3.0,
        "longest time that the API waits for a worker before it answers with the address to poll",
        unit="seconds",
        least=0,
    )
    RETENTION_DAYS: int | None = _setting(
        None,
        "age at which `manage.py socialsongs_forget` deletes posts, and requests without a post; run it every night",
        unit="days",
        default_text="none: never",
        least=1,
    )

    # Workers
    LEASE_SECONDS: int = _setting(60, "how long a claim lasts without being renewed", unit="seconds")
    MAX_ATTEMPTS: int = _setting(3, "attempts after which a row fails as `attempts_exhausted`")
    OUTAGE_SECONDS: int = _setting(
        3600, "how long an outage of the storage or of memory may delay a row before it fails", unit="seconds"
    )
    TASK_BUDGET_SECONDS: int = _setting(
        20, "how long one task drains a lane; under half of `VISIBILITY_TIMEOUT_SECONDS`", unit="seconds"
    )
    VISIBILITY_TIMEOUT_SECONDS: int = _setting(
        120, "after which the broker gives a message that was not acknowledged to another worker", unit="seconds"
    )
    RECONCILE_SECONDS: int = _setting(5, "how often the reconciler runs", unit="seconds")
    INTERACTIVE_BATCH: int = _setting(16, "most posts or requests of one claim in the interactive lane")
    BULK_BATCH: int = _setting(64, "most rows of one claim in the bulk lane")
    BULK_MILLISECONDS: int = _setting(
        80, "about how long a batch of the bulk lane takes: an upload waits no longer than that", unit="milliseconds"
    )
    HEARTBEAT_SECONDS: int = _setting(5, "how often a worker writes its row", unit="seconds")
    SONG_CACHE_MIB: int = _setting(
        256, "memory of a worker for songs that it ranked before; a song takes about 5 kB", unit="MiB"
    )

    # Events (socialsongs/services/events.py, socialsongs/webhooks)
    EVENT_RETENTION_DAYS: int = _setting(
        7, "age at which events and their deliveries are deleted; `socialsongs_webhooks replay` needs them", unit="days"
    )
    WEBHOOK_ALLOW_HTTP: bool = _setting(False, "whether endpoints may have addresses without TLS; for development")
    WEBHOOK_ALLOWED_NETWORKS: str = _setting(
        "",
        "networks beside the public ones to which webhooks may be sent, such as `10.1.0.0/16, fd00:1::/64`",
        kind="networks",
        default_text="none",
    )
    WEBHOOK_SECONDS: float = _setting(
        10.0, "longest time from the connection to an endpoint to its answer", unit="seconds", least=1, most=60
    )
    WEBHOOK_CONNECTIONS: int = _setting(
        8, "endpoints to which the maintenance worker sends at the same time, each on a thread", most=100
    )

    # The model
    RELEASES_DIR: str | None = _setting(
        None,
        "folder with all releases, instead of those that ship: copy the active release into it first; "
        "`socialsongs_train_matcher` writes there, and all workers read it",
        default_text="the releases that ship",
    )
    DEVICE: str = _setting("auto", "`cpu`, `cuda`, `cuda:1` ...; `auto` takes a GPU where there is one")

    # API clients
    EXTERNAL_USER: str = _setting(
        "socialsongs.services.external_users.make_account",
        "function that gives a person of an API client an account; see [api.md](api.md)",
        kind="path",
    )
    CLIENT_RATE: str = _setting(
        "36000/hour", "requests of one API client, with all its keys, that has no rate of its own", kind="rate"
    )

    # Who may do what
    POLICY: str = _setting(
        "socialsongs.policy.Policy",
        "dotted path to the class that decides who may see and manage which post; see [security.md](security.md)",
        kind="path",
    )
    PERMISSION_CLASSES: Sequence[str] = _setting(
        ("rest_framework.permissions.IsAuthenticated",),
        "dotted paths to the permission classes of the API, instead of those of `REST_FRAMEWORK`",
        default_text="`IsAuthenticated` of Django REST framework",
    )

    # Requests of one person, in any stretch of that length
    UPLOAD_RATE: str = _setting("60/hour", "uploads of one person", kind="rate")
    REQUEST_RATE: str = _setting("240/hour", "requests for suggestions of one person", kind="rate")
    READ_RATE: str = _setting("1200/hour", "reads of one person", kind="rate")
    FEEDBACK_RATE: str = _setting("1200/hour", "feedback and choices of one person", kind="rate")
    CATALOGUE_RATE: str = _setting("1200/hour", "calls of one person that write songs in bulk", kind="rate")


@cache
def config() -> PluginSettings:
    """The resolved settings. Raises ImproperlyConfigured for an unknown key, or a value of a wrong type or form."""
    given: dict[str, Any] = getattr(settings, "SOCIALSONGS", {})
    known = {setting.name: setting for setting in fields(PluginSettings)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ImproperlyConfigured(f"SOCIALSONGS has unknown keys {unknown}. Known keys: {', '.join(sorted(known))}.")
    hints = get_type_hints(PluginSettings)
    for key, value in given.items():
        if problem := _problem(known[key], hints[key], value):
            got = "" if key == "CELERY" else f", got {value!r}"  # that dict may hold passwords
            raise ImproperlyConfigured(f"SOCIALSONGS[{key!r}] {problem}{got}.")
    if "CELERY_APP" in given and (both := sorted({"BROKER_URL", "CELERY"} & given.keys())):
        raise ImproperlyConfigured(
            f"SOCIALSONGS has 'CELERY_APP' and {both}: the app that 'CELERY_APP' names says which broker is used. "
            "Leave one of them out."
        )
    resolved = PluginSettings(**given)
    if resolved.SUGGESTIONS > resolved.MAX_SUGGESTIONS:
        raise ImproperlyConfigured(
            f"SOCIALSONGS['SUGGESTIONS'] is {resolved.SUGGESTIONS}, more than 'MAX_SUGGESTIONS', "
            f"{resolved.MAX_SUGGESTIONS}."
        )
    if resolved.MAX_PHOTOS_PER_POST > resolved.MAX_WAITING_PHOTOS:
        raise ImproperlyConfigured(
            f"SOCIALSONGS['MAX_WAITING_PHOTOS'] is {resolved.MAX_WAITING_PHOTOS}, less than a post may hold: "
            f"'MAX_PHOTOS_PER_POST' is {resolved.MAX_PHOTOS_PER_POST}."
        )
    return resolved


def _problem(setting: Field[Any], hint: Any, value: object) -> str:
    """What the value must be but is not; empty when it is all right."""
    if setting.name == "CELERY":
        return celery_settings.problem(value) if isinstance(value, dict) else "must be a dict"
    if get_origin(hint) is Sequence:
        is_list = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return "" if is_list else "must be a list of texts"
    if isinstance(value, bool) is not (hint is bool) or not isinstance(value, int | float if hint is float else hint):
        return f"must be {getattr(hint, '__name__', hint)}"
    if isinstance(value, str):
        if setting.metadata["kind"] == "rate" and not RATE.fullmatch(value):
            return "must be a rate such as 60/hour"
        if setting.metadata["kind"] == "path" and not PATH.fullmatch(value):
            return "must be a dotted path, such as mysite.people.account_of"
        if setting.metadata["kind"] == "market" and not _is_market(value):
            return "must be two capital letters, as in ISO 3166 (GB, not UK)"
        if setting.metadata["kind"] == "networks" and not _are_networks(value):
            return "must be networks such as 10.1.0.0/16, separated by commas"
        if setting.metadata["kind"] == "queue prefix" and not QUEUE_PREFIX.fullmatch(value):
            return "must be at most 28 lower-case letters, digits, '.', '_' and '-', as in 'photos-staging'"
    if isinstance(value, int | float) and not isinstance(value, bool) and not _within(value, **_bounds(setting)):
        return f"must be {describe_bounds(setting)}"
    return ""


def _bounds(setting: Field[Any]) -> dict[str, float | None]:
    return {name: setting.metadata[name] for name in ("least", "most", "above")}


def _within(value: float, *, least: float | None, most: float | None, above: float | None) -> bool:
    return (
        -inf < value < inf  # not NaN either
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
    )


def describe_bounds(setting: Field[Any]) -> str:
    """The allowed values with their unit: "1 or more seconds"; empty for texts."""
    least, most, above = _bounds(setting).values()
    if most is not None:
        text = f"from {least:g} to {most:g}"
    elif above is not None:
        text = f"more than {above:g}"
    elif least is not None:
        text = f"{least:g} or more"
    else:
        return ""
    return f"{text} {setting.metadata['unit']}".strip()


def _is_market(text: str) -> bool:
    try:
        return market_code(text) == text
    except ValueError:
        return False


def networks(text: str) -> list[IPv4Network | IPv6Network]:
    """Return the networks of a text. Raises ValueError."""
    return [ip_network(network) for network in text.replace(",", " ").split()]


def _are_networks(text: str) -> bool:
    try:
        networks(text)
    except ValueError:
        return False
    return True


def _forget(*, setting: str, **_: object) -> None:
    if setting == "SOCIALSONGS":
        config.cache_clear()


setting_changed.connect(_forget)
