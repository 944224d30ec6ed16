"""The header Idempotency-Key, which any POST may have."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ..models import ApiKey
from ..services.idempotency import Once, once
from .base import person

MOST_CHARACTERS = 255


def key_of(request: Request) -> str:
    """Return the key, or an empty text. Raises ValidationError."""
    key = str(request.headers.get("Idempotency-Key", ""))
    if len(key) > MOST_CHARACTERS:
        raise ValidationError({"Idempotency-Key": [_("At most %(most)s characters.") % {"most": MOST_CHARACTERS}]})
    if not key.isprintable():
        raise ValidationError({"Idempotency-Key": [_("Control characters are not allowed.")]})
    return key


def once_of(request: Request) -> AbstractContextManager[Once]:
    """Claim the key of a request whose body is JSON or a form; see ``once``. Raises ValidationError."""
    key = key_of(request)
    digest = _digest(request) if key else ""
    if isinstance(request.auth, ApiKey) and isinstance(request.user, AnonymousUser):  # it acts for nobody
        return once(client=request.auth.client, key=key, fingerprint=digest)
    return once(user=person(request), key=key, fingerprint=digest)


def _digest(request: Request) -> str:
    digest = hashlib.sha256(f"{request.path}\0".encode())
    digest.update(json.dumps(request.data, sort_keys=True).encode())
    return digest.hexdigest()
