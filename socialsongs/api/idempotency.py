"""The header Idempotency-Key, which any POST may have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ..database import atomic
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


def answer_once(request: Request, write: Callable[[], Any], *, status: int = 200) -> Response:
    """Answer with what ``write`` returns after it has written, in a transaction; what is sent again under the same key
    gets the same answer."""
    with once_of(request) as attempt:
        if attempt.earlier is not None:
            return Response(attempt.earlier_answer, status=status)
        with atomic():
            answer = write()
            attempt.finish(answer=answer)
    return Response(answer, status=status)


def _digest(request: Request) -> str:
    digest = hashlib.sha256(f"{request.path}\0".encode())
    digest.update(json.dumps(request.data, sort_keys=True).encode())
    return digest.hexdigest()
