"""Tokens for tests that speak to a server of their own; others have the fixture ``api_of``."""

from __future__ import annotations

import uuid


def token_of(user: object, scopes: tuple[str, ...] = ("read", "write")) -> str:
    """Make a token and return its text; for reading and writing unless ``scopes`` says otherwise."""
    from socialsongs.site.tokens import issue

    return issue(user=user, name=uuid.uuid4().hex, scopes=scopes, days=1)[1]  # type: ignore[arg-type]
