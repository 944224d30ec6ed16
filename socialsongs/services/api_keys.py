"""Makes, revokes and checks API keys.

A key is ``ss_<prefix>_<secret>``. The prefix is public: lists show it, and the row is found by it. The secret is 256
random bits, so nobody can guess it from its SHA-256, and a slow hash, as passwords need, would only cost each request
its time.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from ..database import atomic
from ..errors import ClientInactive, InvalidKey, KeyExpired, KeyRevoked
from ..models import ApiClient, ApiKey

if TYPE_CHECKING:
    from ..user_types import Person

logger = logging.getLogger(__name__)

MARK = "ss_"
FORM = re.compile(r"ss_([0-9a-f]{12})_[0-9a-f]{64}")
MOST_DAYS = 3650


def make_key(
    *, client: ApiClient, name: str, scopes: Iterable[str], expires_at: datetime | None, by: Person | None = None
) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which is not stored; ``expires_at`` None: until it is revoked."""
    prefix = secrets.token_hex(6)
    text = f"{MARK}{prefix}_{secrets.token_hex(32)}"
    key = ApiKey.objects.create(
        client=client,
        name=name,
        prefix=prefix,
        digest=_digest(text),
        scopes=sorted(scopes),
        expires_at=expires_at,
        created_by=by,
    )
    return key, text


def revoke_key(*, key: ApiKey) -> None:
    """Refuse the key from now on. Its row stays, so that lists show when it was revoked."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


def check_key(text: str) -> ApiKey:
    """Return the key with this text, and record its use.

    Raises InvalidKey, KeyRevoked, KeyExpired or ClientInactive.
    """
    form = FORM.fullmatch(text)
    key = ApiKey.objects.select_related("client").filter(prefix=form[1]).first() if form else None
    if key is None or not compare_digest(_digest(text), key.digest):
        raise InvalidKey(_("There is no such API key. Send the whole key, as it was shown when it was made."))
    now = timezone.now()
    if key.revoked_at is not None:
        raise KeyRevoked(_("The API key %(key)s was revoked. Use another one.") % {"key": key.prefix})
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyExpired(
            _("The API key %(key)s expired on %(date)s. Use another one.")
            % {"key": key.prefix, "date": f"{key.expires_at:%Y-%m-%d}"}
        )
    if not key.client.active:
        raise ClientInactive(_("This API client is turned off. Ask the site's staff."))
    _record_use(key, now)
    return key


def may(*, key: ApiKey, scope: str) -> bool:
    """Return whether the key has the scope, and its client still may have it."""
    return scope in key.scopes and scope in key.client.scopes


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _record_use(key: ApiKey, now: datetime) -> None:
    """Record the hour of the last use, so that not every request writes. The key works where the write fails, too."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if key.last_used_at is not None and key.last_used_at >= hour:
        return
    try:
        with atomic():
            ApiKey.objects.filter(pk=key.pk, last_used_at=key.last_used_at).update(last_used_at=hour)
    except DatabaseError as error:
        logger.warning("The last use of the API key %s could not be recorded: %s", key.prefix, error)


def end_of(*, days: int | None) -> datetime | None:
    """Return the time at which a key expires that is made now; None: never."""
    return None if days is None else timezone.now() + timedelta(days=days)
