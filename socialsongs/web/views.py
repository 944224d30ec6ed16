"""The poster's pages. Each works without JavaScript; with it, htmx swaps the part that changed."""

from __future__ import annotations

import uuid
from math import ceil
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from .. import reasons
from ..api.problem import status_of
from ..api.serializers import RecommendationParametersSerializer
from ..api.throttles import PerUser, RequestThrottle, UploadThrottle
from ..conf import MIB, config
from ..errors import NotRetryable, NotSuggested, PostFailed, SocialSongsError, UnknownPost, UnknownSong
from ..models import Feedback, Post, PostAccess, RecommendationRequest, Rule, Song, State, Suggestion
from ..selectors.posts import (
    default_request,
    excerpt,
    find_post,
    hidden_suggestions,
    manages_post,
    newest_analysis,
    own_posts,
    suggestions_of,
)
from ..services.access import record_access
from ..services.feedback import choose_song, clear_choice, record_feedback, record_impressions, undo_hide
from ..services.posts import body_digest, create_post, delete_post, retry_post
from ..services.recommendation_requests import request_recommendations
from .expired_login import is_htmx, login_needed

POSTS_PER_PAGE = 12
# After this time the page says that it may be closed, and polls less often.
LONG_WAIT_SECONDS = 20
# A form that is sent again while it is being worked on waits this long for the first one's post.
SENT_TWICE_SECONDS = 5.0
MOST_CHARACTERS = RecommendationRequest._meta.get_field("text").max_length

OFFERED = {Suggestion.Origin.EDITORIAL: "picked by our editors", Suggestion.Origin.POPULAR: "popular right now"}
# Why a song is in the list, where the reason is not its relevance.
MARKERS = {Suggestion.Origin.EXPLORATION: "something different", **OFFERED}
# What the list holds when no song clearly fits.
OTHERWISE = {**OFFERED, Suggestion.Origin.NEAREST: "the nearest ones"}


class Done(NamedTuple):
    """What the person did with a song in this HTTP request: "chosen", "removed", "hidden" or "shown"."""

    what: str
    song: Song


def rate_problem(request: HttpRequest, throttle: PerUser) -> str:
    """Return an error text when the person's rate, which pages and API share, is used up; else an empty one."""
    if throttle.allow_request(request, None):
        return ""
    seconds = ceil(throttle.wait())
    return f"Too many requests. Try again in {seconds} second{pluralize(seconds)}."


@login_needed
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """The upload form, with the person's own posts below."""
    if request.method == "POST":
        return _upload(request)
    page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(request.GET.get("page"))
    template = "socialsongs/_posts.html" if is_htmx(request) else "socialsongs/home.html"
    return render(request, template, {"page": page, "more": is_htmx(request), **_form_context()})


def _form_context(**more: Any) -> dict[str, Any]:
    limits = config()
    return {
        "max_bytes": limits.MAX_UPLOAD_BYTES,
        "max_megabytes": limits.MAX_UPLOAD_BYTES // MIB,
        "max_photos": limits.MAX_PHOTOS_PER_POST,
        "idempotency_key": uuid.uuid4(),
        **more,
    }


def _upload(request: HttpRequest) -> HttpResponse:
    visibility = request.POST.get("visibility", Post.Visibility.PRIVATE)
    caption = request.POST.get("caption", "").replace("\0", "").strip()
    if problem := rate_problem(request, UploadThrottle()):
        return _upload_refused(request, problem, caption, 429)
    try:
        body: dict[str, Any] = {
            "uploads": list(request.FILES.getlist("photos")),
            "caption": caption[:2200],
            "visibility": visibility if visibility in Post.Visibility.values else Post.Visibility.PRIVATE,
        }
        key = _idempotency_key(request.POST.get("idempotency_key", ""), body)
        post, _ = create_post(owner=request.user, idempotency_key=key, wait=SENT_TWICE_SECONDS, **body)  # type: ignore[arg-type]  # login_needed
    except SocialSongsError as error:
        refused = _upload_refused(request, str(error), caption, 422 if error.retry_after is None else status_of(error))
        if error.retry_after is not None:
            refused["Retry-After"] = str(error.retry_after)
        return refused
    target = reverse("socialsongs:post-page", args=[post.pk])
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _idempotency_key(form: str, body: dict[str, Any]) -> str:
    """Return a key for a form and its content: sent twice it is one post, and with another photo another post."""
    try:
        return f"page-{uuid.UUID(form)}-{body_digest(**body)}"
    except ValueError:
        return ""  # the form has no valid key: each time it is sent makes a post


def _upload_refused(request: HttpRequest, problem: str, caption: str, status: int) -> HttpResponse:
    context = _form_context(error=problem, caption=caption, visibility=request.POST.get("visibility"))
    if is_htmx(request):
        return render(request, "socialsongs/_error.html", context, status=status)
    page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(1)
    return render(request, "socialsongs/home.html", {"page": page, **context}, status=status)


@login_needed
@require_GET
def post_page(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    return render(request, "socialsongs/post.html", _post_context(request, post_id))


@login_needed
@require_GET
def progress(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """The part of the page that changes while the post is analysed; the script polls it.

    A deleted post is answered 410, which ends the polling: a 404 may come from a proxy, and the script polls on.
    """
    try:
        context = _post_context(request, post_id)
    except Http404:
        if not is_htmx(request):
            raise
        return render(request, "socialsongs/_gone.html", status=410)
    return render(request, "socialsongs/_result.html", context)


def _post_context(request: HttpRequest, post_id: uuid.UUID, done: Done | None = None) -> dict[str, Any]:
    """Return what the templates need for a post; ``done``: what the person did with a song in this request."""
    post = find_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404("There is no such post, or you may not see it.")
    record_access(reader=request.user, posts=[post], door=PostAccess.Door.PAGE)  # type: ignore[arg-type]  # login_needed
    manages, own = manages_post(user=request.user, post=post), post.owner_id == request.user.pk
    context: dict[str, Any] = {"post": post, "manages": manages, "own": own, "most_characters": MOST_CHARACTERS}
    context["done"] = done
    context |= _progress_context(post)
    asked = _requested(request, post) if manages else None
    if asked is None:
        return context
    if not asked.is_default:
        context["query"] = f"?request={asked.pk}"
    if post.state != State.READY:
        return context
    if not asked.is_default:
        context |= {"steered": asked, **_progress_context(asked)}
        if asked.state != State.READY:
            return context
    context |= _list_context(post, asked, done)
    if own and context["cards"]:
        shown = [card["suggestion"] for card in context["cards"]]
        record_impressions(request=asked, shown=shown, user=request.user)  # type: ignore[arg-type]  # login_needed
    return context


def _progress_context(row: Post | RecommendationRequest) -> dict[str, Any]:
    waited = (timezone.now() - row.queued_at).total_seconds()
    return {
        "working": row.state in (State.QUEUED, State.ANALYSING),
        "takes_long": waited > LONG_WAIT_SECONDS,
        "failure": reasons.failure_text(row.reason) if row.state == State.FAILED else "",
    }


def _requested(request: HttpRequest, post: Post) -> RecommendationRequest | None:
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
        "otherwise": " or ".join(text for origin, text in OTHERWISE.items() if origin in origins) or "the nearest ones",
        "notice": reasons.describe_notice(asked.notice),
        "tags": list({tag["name"]: tag for tag in reversed(seen)}.values())[::-1],
    }


def _card_context(suggestion: Suggestion, tags: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a suggestion for its template. Rules that pin or boost the song are reasons beside the tags; rules
    that bury it are not shown."""
    song = suggestion.song
    return {
        "suggestion": suggestion,
        "song": song,
        "marker": MARKERS.get(Suggestion.Origin(suggestion.origin)),
        "line": excerpt(suggestion=suggestion),
        "rules": [why["tag"] for why in suggestion.reasons if why["kind"] in (Rule.Action.PIN, Rule.Action.BOOST)],
        "reasons": [
            tags.get(why["tag"], {"name": why["tag"]}) for why in suggestion.reasons if why["kind"] not in Rule.Action
        ],
        "clip_seconds": max(0, (suggestion.clip_start_ms or 0) - song.preview_start_ms) / 1000,
    }


def _own_post(request: HttpRequest, post_id: uuid.UUID) -> Post:
    return get_object_or_404(own_posts(user=request.user), pk=post_id)


def _result_response(request: HttpRequest, post: Post, done: Done | None = None) -> HttpResponse:
    """Render the part with the suggestions for htmx; without it, redirect to the whole page."""
    if is_htmx(request):
        return render(request, "socialsongs/_result.html", _post_context(request, post.pk, done))
    return redirect(_result_url(post, _requested(request, post)))


def _result_url(post: Post, asked: RecommendationRequest | None) -> str:
    """Return the page's address with an anchor at the songs, which on a phone are below the photo."""
    query = "" if asked is None or asked.is_default else f"?request={asked.pk}"
    return f"{reverse('socialsongs:post-page', args=[post.pk])}{query}#result"


@login_needed
@require_POST
def steer(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """Request songs that a text steers; an empty text leads back to the post's default request."""
    post = _own_post(request, post_id)
    text = request.POST.get("text", "").strip()
    form = RecommendationParametersSerializer(data={"text": text})
    if not form.is_valid():
        return _steering_refused(request, post, text, str(form.errors["text"][0]), 422)
    if text and (problem := rate_problem(request, RequestThrottle())):
        return _steering_refused(request, post, text, problem, 429)
    try:
        asked = request_recommendations(post=post, text=text) if text else None
    except PostFailed:
        return _result_response(request, post)  # the page says that the post failed
    except UnknownPost as error:
        raise Http404(str(error)) from error
    target = _result_url(post, asked)
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _steering_refused(request: HttpRequest, post: Post, text: str, problem: str, status: int) -> HttpResponse:
    context = _post_context(request, post.pk) | {"text": text, "error": problem}
    template = "socialsongs/_result.html" if is_htmx(request) else "socialsongs/post.html"
    return render(request, template, context, status=status)


@login_needed
@require_POST
def choose(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID) -> HttpResponse:
    post = _own_post(request, post_id)
    try:
        song = choose_song(post=post, user=request.user, song_id=song_id, request=_requested(request, post))  # type: ignore[arg-type]
    except (UnknownPost, UnknownSong) as error:
        raise Http404(str(error)) from error
    return _result_response(request, post, Done("chosen", song))


@login_needed
@require_POST
def unchoose(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own_post(request, post_id)
    song = post.chosen_song
    clear_choice(post=post)
    return _result_response(request, post, Done("removed", song) if song else None)


@login_needed
@require_POST
def feedback(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID, kind: str) -> HttpResponse:
    """Record that a song was played, skipped or hidden; a hidden song leaves the list."""
    post = _own_post(request, post_id)
    if kind not in (Feedback.Kind.PLAY, Feedback.Kind.SKIP, Feedback.Kind.HIDE):
        raise Http404("There is no such feedback.")
    try:
        record_feedback(post=post, user=request.user, song_id=song_id, kind=kind, request=_requested(request, post))  # type: ignore[arg-type]
    except (UnknownPost, NotSuggested) as error:
        raise Http404(str(error)) from error
    if kind != Feedback.Kind.HIDE:
        return HttpResponse(status=204)
    return _result_response(request, post, Done("hidden", Song.objects.get(pk=song_id)))


@login_needed
@require_POST
def show_again(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID | None = None) -> HttpResponse:
    """Show a hidden song again; without ``song_id``, all hidden songs of the post."""
    post = _own_post(request, post_id)
    try:
        undo_hide(post=post, user=request.user, song_ids=None if song_id is None else [song_id])  # type: ignore[arg-type]
    except UnknownPost as error:
        raise Http404(str(error)) from error
    song = Song.objects.filter(pk=song_id).first() if song_id else None
    return _result_response(request, post, Done("shown", song) if song else None)


@login_needed
@require_POST
def retry(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own_post(request, post_id)
    try:
        retry_post(post=post)
    except NotRetryable:
        post.refresh_from_db()  # it was retried in another tab: show its present state
    return _result_response(request, post)


@login_needed
@require_POST
def delete(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    delete_post(post=_own_post(request, post_id))
    target = reverse("socialsongs:home")
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)
