"""What the templates need to show the songs of a post, on a page of ours or inside a page of the host."""

from __future__ import annotations

import uuid
from functools import reduce
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import reasons
from ..models import Post, PostAccess, RecommendationRequest, Rule, Song, State, Suggestion
from ..models.suggestion import WISH
from ..policy import policy
from ..selectors.posts import (
    default_request,
    excerpt,
    find_post,
    hidden_suggestions,
    newest_analysis,
    suggestions_of,
)
from ..services.access import record_access
from ..services.feedback import record_impressions

# After this time the page says that it may be closed, and polls less often.
LONG_WAIT_SECONDS = 20
MOST_CHARACTERS = RecommendationRequest._meta.get_field("text").max_length

OFFERED: dict[str, str | Promise] = {
    Suggestion.Origin.EDITORIAL: gettext_lazy("picked by our editors"),
    Suggestion.Origin.POPULAR: gettext_lazy("popular right now"),
}
# Why a song is in the list, where the reason is not its relevance.
MARKERS = {Suggestion.Origin.EXPLORATION: gettext_lazy("something different"), **OFFERED}
# What the list holds when no song clearly fits.
OTHERWISE = {**OFFERED, Suggestion.Origin.NEAREST: gettext_lazy("the nearest ones")}


class Done(NamedTuple):
    """What the person did with a song in this HTTP request: "chosen", "removed", "hidden" or "shown"."""

    what: str
    song: Song


def host_page(request: HttpRequest) -> str:
    """Return the path of the host's page that the songs are part of; empty on a page of ours.

    Forms and polls of such a part carry it as ``next``; an address elsewhere is ignored.
    """
    path = request.GET.get("next", "")
    return path if path.startswith("/") and url_has_allowed_host_and_scheme(path, None) else ""


def post_context(
    request: HttpRequest, post_id: uuid.UUID, done: Done | None = None, *, within: str = ""
) -> dict[str, Any]:
    """Return what the templates need for a post. Raises Http404 when this person may not see it.

    ``done``: what the person did with a song in this request. ``within``: path of the host's page that the songs are
    part of; then other songs than those of the default request are not shown.
    """
    post = find_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404(_("There is no such post, or you may not see it."))
    record_access(reader=request.user, posts=[post], door=PostAccess.Door.PAGE)  # type: ignore[arg-type]  # login_needed
    rules = policy()
    manages = rules.may_view_suggestions(user=request.user, post=post)
    own = rules.may_manage(user=request.user, post=post)
    asked = None
    if manages:  # the query of a host's page is the host's own
        asked = default_request(post=post) if within else requested(request, post)
    context: dict[str, Any] = {
        **place_context(post, asked, within),
        "post": post,
        "manages": manages,
        "own": own,
        "most_characters": MOST_CHARACTERS,
        "done": done,
        **_progress_context(post),
    }
    if asked is None or post.state != State.READY:
        return context
    if not asked.is_default:
        context |= {"steered": asked, **_progress_context(asked)}
        if asked.state != State.READY:
            return context
    context |= _list_context(post, asked, done)
    if context["cards"] and rules.is_poster(user=request.user, post=post):
        shown = [card["suggestion"] for card in context["cards"]]
        record_impressions(request=asked, shown=shown, user=request.user)  # type: ignore[arg-type]  # login_needed
    return context


def place_context(post: Post | None, asked: RecommendationRequest | None, within: str) -> dict[str, Any]:
    """Return what depends on where the songs are shown: headings, and the query of the addresses of forms."""
    query = {"request": asked.pk} if asked and not asked.is_default else {}
    encoded = urlencode({**query, "next": within} if within else query)
    return {
        "embedded": bool(within),
        "heading": "h2" if within else "h1",
        "song_heading": "h3" if within else "h2",
        "query": f"?{encoded}" if encoded else "",
        # Without an anchor: from the page itself, a link to an anchor loads nothing.
        "here": post and _page_path(post, asked, within),
    }


def page_url(post: Post, asked: RecommendationRequest | None, within: str = "") -> str:
    """Return the address of the songs, with an anchor at them: on a phone the photo is first."""
    return f"{_page_path(post, asked, within)}#socialsongs-{post.pk}"


def _page_path(post: Post, asked: RecommendationRequest | None, within: str) -> str:
    query = "" if asked is None or asked.is_default else f"?request={asked.pk}"
    return within or f"{reverse('socialsongs:post-page', args=[post.pk])}{query}"


def _progress_context(row: Post | RecommendationRequest) -> dict[str, Any]:
    waited = (timezone.now() - row.queued_at).total_seconds()
    return {
        "working": row.state in (State.QUEUED, State.ANALYSING),
        "takes_long": waited > LONG_WAIT_SECONDS,
        "failure": reasons.failure_text(row.reason) if row.state == State.FAILED else "",
    }


def requested(request: HttpRequest, post: Post) -> RecommendationRequest | None:
    """Return the request whose suggestions the page shows: that of ``?request=``, else the post's default request."""
    named = request.GET.get("request")
    if not named:
        return default_request(post=post)
    try:
        key = uuid.UUID(named)
    except ValueError:
        raise Http404("There is no such request.") from None
    return get_object_or_404(post.requests, pk=key)


def _list_context(post: Post, asked: RecommendationRequest, done: Done | None) -> dict[str, Any]:
    """Return all tags, and cards of the suggestions except the chosen song. Each reason carries the region where its
    tag scored highest. ``rows`` also holds a song that was hidden in this request, so that it can be undone."""
    seen = [
        {**tag, "photo": photo.position, "percent": round(tag["score"] * 100)}
        for photo in post.photos.all()
        if (found := newest_analysis(photo=photo))
        for tag in found.tags
    ]
    seen.sort(key=lambda tag: -tag["score"])
    by_name = {tag["name"]: tag for tag in reversed(seen)}
    others = suggestions_of(request=asked).exclude(song=post.chosen_song_id)
    cards = [_card_context(suggestion, by_name) for suggestion in others]
    hidden = list(hidden_suggestions(request=asked).exclude(song=post.chosen_song_id))
    just_hidden = [row for row in hidden if done and done.what == "hidden" and row.song_id == done.song.pk]
    rows = [*cards, *({"suggestion": row, "just_hidden": True} for row in just_hidden)]
    origins = {card["suggestion"].origin for card in cards}
    return {
        "cards": cards,
        "rows": sorted(rows, key=lambda row: row["suggestion"].rank),
        "hidden": [row.song for row in hidden if row not in just_hidden],
        "all_hidden": bool(hidden) and not cards,
        "confident": asked.confident is not False,  # None: answered by a release without confidence
        "otherwise": _otherwise(origins),
        "notice": reasons.describe_notice(asked.notice),
        # The notice says it when all words are unused.
        "unused": [] if asked.notice == "text_unused" else asked.unused or [],
        "tags": list({tag["name"]: tag for tag in reversed(seen)}.values())[::-1],
    }


def _otherwise(origins: set[str]) -> str:
    """Return what the list holds when no song clearly fits: "picked by our editors or popular right now"."""
    texts = [str(text) for origin, text in OTHERWISE.items() if origin in origins]
    return reduce(
        lambda first, second: _("%(first)s or %(second)s") % {"first": first, "second": second},
        texts or [_("the nearest ones")],
    )


def _card_context(suggestion: Suggestion, tags: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a suggestion for its template. Rules that pin or boost the song and words of the text are reasons
    beside the tags; rules that bury it are not shown."""
    song = suggestion.song
    return {
        "suggestion": suggestion,
        "song": song,
        "marker": MARKERS.get(Suggestion.Origin(suggestion.origin)),
        "line": excerpt(suggestion=suggestion),
        "wishes": [why["tag"] for why in suggestion.reasons if why["kind"] == WISH],
        "rules": [why["tag"] for why in suggestion.reasons if why["kind"] in (Rule.Action.PIN, Rule.Action.BOOST)],
        "reasons": [
            tags.get(why["tag"], {"name": why["tag"]})
            for why in suggestion.reasons
            if why["kind"] not in (*Rule.Action, WISH)
        ],
        "clip_seconds": max(0, (suggestion.clip_start_ms or 0) - song.preview_start_ms) / 1000,
    }
