"""The language of titles and details of problems, and of notices; codes are the same in every language."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import translation


def answer_language(request: HttpRequest) -> str:
    """Return the language that Accept-Language asks for where the texts exist in it, else that of the site.

    Where the host has Django's LocaleMiddleware, its choice holds, which may follow the address or a cookie.
    """
    wanted = getattr(request, "LANGUAGE_CODE", None) or translation.get_language_from_request(request)
    with translation.override(wanted):
        return translation.pgettext("code of the language of these texts", "en")
