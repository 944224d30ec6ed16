"""Tags for pages of the host: ``{% load socialsongs %}``, see docs/pages.md."""

from __future__ import annotations

from typing import Any

from django.template import Context, Library

from ..web.texts import SCRIPT_TEXTS

register = Library()


@register.inclusion_tag("socialsongs/_assets.html", takes_context=True)
def socialsongs_assets(context: Context, htmx: bool = True) -> dict[str, Any]:
    """Render the style sheet, the texts and the scripts of the songs, once in a page.

    ``htmx``: False where the page loads htmx 2 itself.
    """
    return {"htmx": htmx, "texts": SCRIPT_TEXTS, "csp_nonce": context.get("csp_nonce")}
