"""Tokens for tests that speak to a server of their own; others have the fixture ``api_of``."""

from __future__ import annotations

import uuid


def token_of(user: object, scopes: tuple[str, ...] = ("read", "write")) -> str:
    """A new one, for reading and writing unless it is said."""
    from socialsongs.site.tokens import issue

    return issue(user=user, name=uuid.uuid4().hex, scopes=scopes, days=1)[1]  # type: ignore[arg-type]
