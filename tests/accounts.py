"""Tokens for tests that speak to a server of their own; others have the fixture ``api_of``."""

from __future__ import annotations

import uuid


def token_of(user: object) -> str:
    """A new one, for reading and writing."""
    from socialsongs.site.tokens import issue

    return issue(user=user, name=uuid.uuid4().hex, scopes=["read", "write"], days=1)[1]  # type: ignore[arg-type]
