"""Tokens: create, revoke, authenticate. A token limits what its account may do; a session does not."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from .models import Token

if TYPE_CHECKING:
    from ..user_types import Person

logger = logging.getLogger(__name__)
FORM = re.compile(r"[0-9A-Za-z]{16,128}")
USED_AT_MOST_EVERY = timedelta(minutes=1)
REFUSED = {
    Token.Scope.READ: gettext_lazy("This token may not read. Use one with the scope “%(scope)s”."),
    Token.Scope.WRITE: gettext_lazy("This token may not write. Use one with the scope “%(scope)s”."),
    Token.Scope.METRICS: gettext_lazy("This token may not read the metrics. Use one with the scope “%(scope)s”."),
}


def issue(*, user: Person, name: str, scopes: Iterable[str], days: int | None) -> tuple[Token, str]:
    """Return a new token and its text, which is not stored; ``days`` None: valid until it is revoked."""
    lasts = None if days is None else timedelta(days=days)
    made: tuple[Token, str] = Token.objects.create(user=user, expiry=lasts, name=name, scopes=sorted(scopes))
    return made


def revoke(*, user: Person, name: str | None = None) -> int:
    """Delete one token of the person, or all; returns how many there were."""
    tokens = Token.objects.filter(user=user)
    count, _by_model = (tokens if name is None else tokens.filter(name=name)).delete()
    return count


class TokenAuthentication(KnoxAuthentication):
    """``Authorization: Token ...``; reading needs the scope `read`, all else `write`."""

    def scope_for(self, request: Request) -> str:
        return Token.Scope.READ if request.method in SAFE_METHODS else Token.Scope.WRITE

    def authenticate(self, request: Request) -> tuple[Person, Token] | None:
        found: tuple[Person, Token] | None = super().authenticate(request)  # type: ignore[no-untyped-call]
        if found is not None and (scope := self.scope_for(request)) not in found[1].scopes:
            text = REFUSED[Token.Scope(scope)] % {"scope": scope}
            raise PermissionDenied(text, code="insufficient_scope")
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[Person, Token]:
        """Find the token with one query; knox's method would also delete expired tokens at each request."""
        text = token.decode(errors="replace")
        now = timezone.now()
        if FORM.fullmatch(text):
            digest = hash_token(text)
            for row in Token.objects.filter(token_key=text[: CONSTANTS.TOKEN_KEY_LENGTH]).select_related("user"):
                if compare_digest(digest, row.digest) and (row.expiry is None or row.expiry > now):
                    user, _token = self.validate_user(row)  # type: ignore[no-untyped-call]
                    record_use(row)
                    return user, row
        raise AuthenticationFailed(_("Invalid token."))


class MetricsAuthentication(TokenAuthentication):
    def scope_for(self, request: Request) -> str:
        return Token.Scope.METRICS


def record_use(token: Token) -> None:
    """Record the last use, once a minute at most. The token is valid also where the write fails."""
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < USED_AT_MOST_EVERY:
        return
    try:
        with transaction.atomic():
            Token.objects.filter(pk=token.pk, last_used_at=token.last_used_at).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("The last use of a token could not be recorded: %s", error)


class Scheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "socialsongs.site.tokens.TokenAuthentication"
    name = "tokenAuth"
    match_subclasses = True

    def get_security_definition(self, auto_schema: Any) -> Any:
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Token")
