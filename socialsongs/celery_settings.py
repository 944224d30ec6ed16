"""The settings of Celery that a host may give in ``SOCIALSONGS["CELERY"]``: how to reach the broker, how to log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALLOWED = frozenset(
    [
        "broker_channel_error_retry",
        "broker_connection_max_retries",
        "broker_connection_retry",
        "broker_connection_retry_on_startup",
        "broker_connection_timeout",
        "broker_failover_strategy",
        "broker_heartbeat",
        "broker_heartbeat_checkrate",
        "broker_login_method",
        "broker_pool_limit",
        "broker_transport_options",
        "broker_use_ssl",
        "enable_utc",
        "timezone",
        "event_exchange",
        "event_queue_expires",
        "event_queue_prefix",
        "event_queue_ttl",
        "task_send_sent_event",
        "worker_send_task_events",
        "worker_hijack_root_logger",
        "worker_log_color",
        "worker_log_format",
        "worker_redirect_stdouts",
        "worker_redirect_stdouts_level",
        "worker_task_log_format",
    ]
)
# Why others are refused, by the beginning of their names; the first that fits counts.
REFUSED = {
    "broker_transport_options.global_keyprefix": "it separates the plugin's keys from those of others: set "
    "SOCIALSONGS['QUEUE_PREFIX'] to separate two installations",
    "broker_transport_options.visibility_timeout": "set SOCIALSONGS['VISIBILITY_TIMEOUT_SECONDS']",
    "broker_url": "set SOCIALSONGS['BROKER_URL']",
    "broker_read_url": "set SOCIALSONGS['BROKER_URL']",
    "broker_write_url": "set SOCIALSONGS['BROKER_URL']",
    "beat_": "the plugin's beat runs the reconciler and nothing else; SOCIALSONGS['RECONCILE_SECONDS'] says how often",
    "worker_pool": "a worker runs one task at a time in its own process, since a process forked after a pass hangs",
    "worker_concurrency": "start one worker for each device instead",
    "task_queues": "SOCIALSONGS['QUEUE_PREFIX'] names the queues",
    "task_routes": "each task has a queue of its own; SOCIALSONGS['QUEUE_PREFIX'] names the queues",
    "task_default_": "each task has a queue of its own; SOCIALSONGS['QUEUE_PREFIX'] names the queues",
    "task_ack": "a wake-up is acknowledged when its work is done",
    "task_reject_on_worker_lost": "a wake-up is acknowledged when its work is done",
    "task_always_eager": "work is done by workers only",
    "task_serializer": "wake-ups are JSON",
    "accept_content": "wake-ups are JSON",
    "result_": "wake-ups have no results",
}  # fmt: skip


def problem(given: Mapping[str, Any]) -> str:
    """Return what is wrong with ``SOCIALSONGS["CELERY"]``, with the key's name; empty when it is all right."""
    options = given.get("broker_transport_options")
    if "broker_transport_options" in given and not isinstance(options, dict):
        return "has 'broker_transport_options', which must be a dict"
    for key in [*given, *(f"broker_transport_options.{name}" for name in options or {})]:
        if reason := next((why for start, why in REFUSED.items() if str(key).startswith(start)), ""):
            return f"must not have {key!r}: {reason}"
        if key not in ALLOWED and not str(key).startswith("broker_transport_options."):
            return f"must not have {key!r}. Allowed, in Celery's lower-case names: {', '.join(sorted(ALLOWED))}"
    return ""
