"""Settings of drf-spectacular for our schema, in a module that settings files can import."""

from __future__ import annotations

from typing import Any

from .. import __version__

SPECTACULAR: dict[str, Any] = {
    "TITLE": "SocialSongs API",
    "DESCRIPTION": "Songs for photo posts.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",  # in 3.0 a reference cannot be null
    "SCHEMA_PATH_PREFIX": ".*/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,  # a PATCH may have required fields
}
