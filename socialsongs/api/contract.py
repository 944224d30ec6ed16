"""Settings of drf-spectacular for our schema, in a module that settings files can import."""

from __future__ import annotations

from typing import Any

from .. import __version__
from .webhook_contract import ABOUT, WEBHOOK_SCHEMAS

# Of all answers to which a rate applies.
RATE_HEADERS = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": "The rates that apply, as in draft-ietf-httpapi-ratelimit-headers-11: `q` requests in any `w` "
        "seconds.",
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": "What is left of these rates: `r` requests; more are allowed after `t` seconds.",
    },
}

SPECTACULAR: dict[str, Any] = {
    "TITLE": "SocialSongs API",
    "DESCRIPTION": "Songs for photo posts.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",  # in 3.0 a reference cannot be null
    "SCHEMA_PATH_PREFIX": ".*/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "APPEND_COMPONENTS": {"headers": RATE_HEADERS, "schemas": WEBHOOK_SCHEMAS},
    "WEBHOOKS": [f"socialsongs.api.webhook_contract.{kind}" for kind in ABOUT],
    "ENUM_NAME_OVERRIDES": {
        "StateEnum": "socialsongs.models.State",
        "DeliveryStateEnum": "socialsongs.models.WebhookDelivery.State",
    },
    "COMPONENT_SPLIT_PATCH": False,  # a PATCH may have required fields
}
