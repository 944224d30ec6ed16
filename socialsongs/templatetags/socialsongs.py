"""Tags for pages of the host: ``{% load socialsongs %}``, see docs/pages.md."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.http import Http404
from django.template import Context, Library
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from ..attached.interface import post_of
from ..models import Post
from ..web.post_context import post_context
from ..web.texts import SCRIPT_TEXTS

register = Library()


@register.inclusion_tag("socialsongs/_assets.html", takes_context=True)
def socialsongs_assets(context: Context, htmx: bool = True) -> dict[str, Any]:
    """Render the style sheet, the texts and the scripts of the songs; only once in a page, however often it is called.

    ``htmx``: False where the page loads htmx 2 itself.
    """
    request = context.get("request")
    again = getattr(request, "socialsongs_assets", False)
    if request is not None:
        request.socialsongs_assets = True
    return {"again": again, "htmx": htmx, "texts": SCRIPT_TEXTS, "csp_nonce": context.get("csp_nonce")}


@register.simple_tag(takes_context=True)
def song_suggestions(context: Context, photo: Model) -> SafeString:
    """Render the songs for a post, or for an attached photo, as this visitor may see them.

    Renders nothing for a photo without a post yet, and for one that they may not see. Raises NotAttached for a photo
    of another model.
    """
    request = context["request"]
    post = photo if isinstance(photo, Post) else post_of(photo)
    if post is None:
        return SafeString("")
    try:
        shown = post_context(request, post.pk, within=request.get_full_path())
    except Http404:
        return SafeString("")
    return mark_safe(render_to_string("socialsongs/suggestions.html", shown, request=request))
