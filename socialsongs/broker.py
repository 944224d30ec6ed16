"""The broker of wake-ups: the Celery app that reaches it, the queues on it, and how two brokers are told apart.

There are two ways: a Celery app of the plugin's own, which nothing but SOCIALSONGS configures, or the host's app, named
by ``SOCIALSONGS["CELERY_APP"]``.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from celery import Celery
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from kombu import Connection, Exchange, Queue

from .conf import config

LANES = INTERACTIVE, BULK, MAINTENANCE = "interactive", "bulk", "maintenance"
# Prefix of our keys, because others may use the same Redis: workers neither take nor redeliver their messages.
KEY_PREFIX = "socialsongs:"
LOOPBACK = {"", "localhost", "127.0.0.1", "::1"}


class OwnCelery(Celery):
    """A Celery app that reads no ``CELERY_...``, neither of Django's settings nor of the environment."""

    backend_cls = "disabled"

    def connection_for_read(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_read(config().BROKER_URL, **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        return super().connection_for_write(config().BROKER_URL, **options)


@cache
def celery_app() -> Celery:
    """Return the app that carries our wake-ups. Raises ImproperlyConfigured when ``CELERY_APP`` names none."""
    path = config().CELERY_APP
    return _host_app(path) if path else _own_app()


def _own_app() -> Celery:
    # Without fix-ups and not the current app: in a host's process nothing of the host's may use it.
    app = OwnCelery("socialsongs", loader="celery.loaders.app:AppLoader", fixups=[], set_as_current=False)
    given = config().CELERY
    options = {"visibility_timeout": config().VISIBILITY_TIMEOUT_SECONDS, "global_keyprefix": KEY_PREFIX}
    app.config_from_object(
        {
            "timezone": settings.TIME_ZONE,
            "broker_connection_retry_on_startup": True,
            "broker_connection_max_retries": None,  # no limit: a worker waits until the broker is back
            "broker_channel_error_retry": True,  # also when the broker is full or read-only
            "worker_hijack_root_logger": False,
        }
        | given
        | {"broker_transport_options": given.get("broker_transport_options", {}) | options}
    )
    return app


def _host_app(path: str) -> Celery:
    try:
        app = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"SOCIALSONGS['CELERY_APP'] {path!r} cannot be imported: {error}") from error
    if not isinstance(app, Celery):
        raise ImproperlyConfigured(f"SOCIALSONGS['CELERY_APP'] {path!r} must be a Celery app, got {app!r}.")
    return app


def queue_name(lane: str) -> str:
    return f"{config().QUEUE_PREFIX}.{lane}"


def queue(lane: str) -> Queue:
    """Return the queue of a lane; complete, so that no default or route of a host's app changes it."""
    name = queue_name(lane)
    return Queue(name, Exchange(name, type="direct"), routing_key=name)


def straight_to(lane: str) -> dict[str, Any]:
    """Return the options that send a message to the queue of a lane, whatever the routes of a host's app say."""
    return {"queue": queue(lane), "exchange": "", "exchange_type": "direct"}


def patient_connection(*, patience: float) -> Connection:
    """Return a connection, not opened yet, that is tried once; each of its steps takes at most ``patience`` seconds."""
    options = {"socket_connect_timeout": patience, "socket_timeout": patience, "max_retries": 0}
    return celery_app().connection_for_write(connect_timeout=patience, transport_options=options)


@cache
def broker_digest() -> str:
    """Return a digest of the addresses, virtual hosts and key prefix of the broker that wake-ups are sent to.

    Names and passwords of accounts are no part of it.
    """
    used = celery_app().connection_for_write()
    addresses = sorted(_address(Connection(url)) for url in used.alt) if used.alt else [_address(used)]
    prefix = (used.transport_options or {}).get("global_keyprefix", "")
    return hashlib.sha256("\n".join([*addresses, prefix]).encode()).hexdigest()[:16]


def _address(used: Connection) -> str:
    transport = used.transport
    host = used.hostname or ""
    host = "localhost" if host in LOOPBACK else host
    virtual_host = str(used.virtual_host or "").strip("/")
    if transport.driver_type == "redis":
        virtual_host = virtual_host or "0"
    return f"{transport.driver_type}://{host}:{used.port or transport.default_port}/{virtual_host}"


def _forget(*, setting: str, **_: object) -> None:
    if setting == "SOCIALSONGS":
        celery_app.cache_clear()
        broker_digest.cache_clear()


setting_changed.connect(_forget)
