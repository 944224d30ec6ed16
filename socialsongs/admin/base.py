"""What the admin pages share: badges, pictures, tables of suggestions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import floatformat
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ..models import Post, PostPhoto, Rule, Song, Suggestion, Thumbnail

# Of rows, releases, rules and workers; "missing" where there should be a row.
STATES = {
    "active": pgettext_lazy("state", "active"),
    "analysing": pgettext_lazy("state", "analysing"),
    "draft": pgettext_lazy("state", "draft"),
    "elsewhere": pgettext_lazy("state", "elsewhere"),
    "failed": pgettext_lazy("state", "failed"),
    "missing": pgettext_lazy("state", "missing"),
    "off": pgettext_lazy("state", "off"),
    "over": pgettext_lazy("state", "over"),
    "published": pgettext_lazy("state", "published"),
    "queued": pgettext_lazy("state", "queued"),
    "ready": pgettext_lazy("state", "ready"),
    "refusing": pgettext_lazy("state", "refusing"),
    "retired": pgettext_lazy("state", "retired"),
    "scheduled": pgettext_lazy("state", "scheduled"),
    "staged": pgettext_lazy("state", "staged"),
    "starting": pgettext_lazy("state", "starting"),
}

# Of reasons that are rules.
KINDS = {
    Rule.Action.PIN: pgettext_lazy("kind of a rule", "pin"),
    Rule.Action.BOOST: pgettext_lazy("kind of a rule", "boost"),
    Rule.Action.BURY: pgettext_lazy("kind of a rule", "bury"),
    Rule.Action.BLOCK: pgettext_lazy("kind of a rule", "block"),
}


def badge(state: str, note: str | Promise = "") -> SafeString:
    """Render a state; ``socialsongs/admin.css`` gives its colour."""
    return format_html(
        '<span class="socialsongs-badge socialsongs-{}">{}</span> {}', state, STATES.get(state, state), note
    )


def picture(post: Post, photo: PostPhoto, side: int) -> SafeString:
    """Render a photo; ``side`` in pixels, one of those for which ``socialsongs/admin.css`` has a class."""
    url = reverse("socialsongs:post-photo", args=[post.pk, photo.position])
    if small := next((size for size in Thumbnail.Side.values if size >= 2 * side), None):
        url = f"{url}?side={small}"
    return format_html('<img src="{}" alt="" loading="lazy" class="socialsongs-photo socialsongs-photo-{}">', url, side)


def song_link(song: Song) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse("admin:socialsongs_song_change", args=[song.pk]), song)


def suggestion_table(rows: Iterable[Suggestion]) -> SafeString:
    """Render suggestions whose song and release are loaded."""
    heads = ["#", _("song"), _("line"), _("reasons"), _("origin"), _("rules"), _("score"), _("release")]
    lines = (
        (
            row.rank,
            song_link(row.song),
            row.line,
            ", ".join(
                f"{why['tag']} {floatformat(why['weight'], 2)}" for why in row.reasons if why["kind"] not in Rule.Action
            ),
            row.get_origin_display(),
            ", ".join(f"{KINDS[why['kind']]}: {why['tag']}" for why in row.reasons if why["kind"] in Rule.Action),
            floatformat(row.score, 3),
            row.release,
        )
        for row in rows
    )
    return format_html(
        "<table><tr>{}</tr>{}</table>",
        format_html_join("", "<th>{}</th>", ((head,) for head in heads)),
        format_html_join("", "<tr>" + "<td>{}</td>" * len(heads) + "</tr>", lines),
    )


class Styled(admin.ModelAdmin):  # type: ignore[type-arg]
    """Admin pages whose styles are in a file, as a strict content security policy demands."""

    class Media:
        css = {"all": ["socialsongs/admin.css"]}


class ReadOnly(Styled):
    """Rows that the site writes; staff cannot add or change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
