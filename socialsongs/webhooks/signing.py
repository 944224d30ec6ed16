"""Secrets and signatures, in the form of Standard Webhooks.

A secret is not stored. It is derived from Django's SECRET_KEY and the endpoint's salt, so that who has the database,
or a copy of it, cannot sign. While an old key is in SECRET_KEY_FALLBACKS, the secrets derived from it sign, too.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable

from django.conf import settings
from django.utils.crypto import salted_hmac

PREFIX = "whsec_"


def new_salt() -> str:
    return secrets.token_hex(16)


def secret_text(salt: str) -> str:
    """Return the secret as its owner keeps it."""
    return PREFIX + base64.b64encode(_derive(settings.SECRET_KEY, salt)).decode()


def _derive(key: str | bytes, salt: str) -> bytes:
    return salted_hmac("socialsongs.webhooks", salt, secret=key, algorithm="sha256").digest()


def signatures(salts: Iterable[str], *, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header webhook-signature: one signature for each secret that is valid."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hmac.digest(_derive(key, salt), signed, "sha256") for salt in salts for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
