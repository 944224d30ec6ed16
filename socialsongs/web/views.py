"""The poster's pages. Each works without JavaScript; htmx only swaps the part that changed."""

from __future__ import annotations

import uuid
from math import ceil
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from .. import reasons
from ..api.base import PerUser, RequestThrottle, UploadThrottle
from ..api.problem import status_of
from ..api.serializers import RecommendationParametersSerializer
from ..conf import MIB, config
from ..errors import NotRetryable, NotSuggested, PostFailed, SocialSongsError, UnknownPost, UnknownSong
from ..models import Feedback, Post, PostAccess, RecommendationRequest, Rule, Song, State, Suggestion
from ..selectors.posts import (
    analysis,
    default_request,
    excerpt,
    find_post,
    hidden_suggestions,
    manages_post,
    own_posts,
    suggestions_of,
)
from ..services.access import note_reads
from ..services.feedback import choose_song, clear_choice, log_impressions, record_feedback, show_hidden
from ..services.posts import body_digest, create_post, delete_post, retry_post
from ..services.recommendation_requests import request_recommendations
from .expired_login import is_htmx, login_needed

POSTS_PER_PAGE = 12
# After this long the page says that it may be closed, and asks less often.
PATIENCE_SECONDS = 20
MOST_CHARACTERS = RecommendationRequest._meta.get_field("text").max_length

OFFERED = {Suggestion.Origin.EDITORIAL: "picked by our editors", Suggestion.Origin.POPULAR: "popular right now"}
# What a song's place in the list owes to, where that is not its fit.
MARKERS = {Suggestion.Origin.EXPLORATION: "something different", **OFFERED}
# What the list holds when nothing fits clearly.
OTHERWISE = {**OFFERED, Suggestion.Origin.NEAREST: "the nearest ones"}


class Done(NamedTuple):
    """What somebody has just done with a song: "chosen", "removed", "hidden" or "shown"."""

    what: str
    song: Song


def too_often(request: HttpRequest, throttle: PerUser) -> str:
    """What to tell somebody whose rate, which page and API share, is used up; empty: it is not."""
    if throttle.allow_request(request, None):
        return ""
    return f"That was too often in a short time. Try again in {ceil(throttle.wait())} seconds."


@login_needed
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Pick or drop a photo; the own posts below."""
    if request.method == "POST":
        return _upload(request)
    page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(request.GET.get("page"))
    template = "socialsongs/_posts.html" if is_htmx(request) else "socialsongs/home.html"
    return render(request, template, {"page": page, "more": is_htmx(request), **_form()})


def _form(**more: Any) -> dict[str, Any]:
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
    if problem := too_often(request, UploadThrottle()):
        return _refused(request, problem, caption, 429)
    try:
        body: dict[str, Any] = {
            "uploads": list(request.FILES.getlist("photos")),
            "caption": caption[:2200],
            "visibility": visibility if visibility in Post.Visibility.values else Post.Visibility.PRIVATE,
        }
        key = _idempotency_key(request.POST.get("idempotency_key", ""), body)
        post, _ = create_post(owner=request.user, idempotency_key=key, **body)  # type: ignore[arg-type]  # login_needed
    except SocialSongsError as error:
        refused = _refused(request, str(error), caption, 422 if error.retry_after is None else status_of(error))
        if error.retry_after is not None:
            refused["Retry-After"] = str(error.retry_after)
        return refused
    target = reverse("socialsongs:post-page", args=[post.pk])
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _idempotency_key(form: str, body: dict[str, Any]) -> str:
    """Of a form and what it holds: sent twice it is one post, and the same form with another photo is another post."""
    try:
        return f"page-{uuid.UUID(form)}-{body_digest(**body)}"
    except ValueError:
        return ""  # a page from before forms had keys


def _refused(request: HttpRequest, problem: str, caption: str, status: int) -> HttpResponse:
    context = _form(error=problem, caption=caption, visibility=request.POST.get("visibility"))
    if is_htmx(request):
        return render(request, "socialsongs/_error.html", context, status=status)
    page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(1)
    return render(request, "socialsongs/home.html", {"page": page, **context}, status=status)


@login_needed
@require_GET
def post_page(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    return render(request, "socialsongs/post.html", _post(request, post_id))


@login_needed
@require_GET
def progress(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """The part of the page that waits; asked again and again until there is something to see.

    A script is told by 410 that there never will be: after a 404, which may be a proxy's, it asks again.
    """
    try:
        context = _post(request, post_id)
    except Http404:
        if not is_htmx(request):
            raise
        return render(request, "socialsongs/_gone.html", status=410)
    return render(request, "socialsongs/_result.html", context)


def _post(request: HttpRequest, post_id: uuid.UUID, done: Done | None = None) -> dict[str, Any]:
    """``done``: what somebody has just done with a song, for the part of the page that is about it."""
    post = find_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404("There is no such post, or it is not yours to see.")
    note_reads(reader=request.user, posts=[post], door=PostAccess.Door.PAGE)  # type: ignore[arg-type]  # login_needed
    manages, own = manages_post(user=request.user, post=post), post.owner_id == request.user.pk
    context: dict[str, Any] = {"post": post, "manages": manages, "own": own, "most_characters": MOST_CHARACTERS}
    context["done"] = done
    context |= _progress(post)
    asked = _asked(request, post) if manages else None
    if asked is None:
        return context
    if not asked.is_default:
        context["query"] = f"?request={asked.pk}"
    if post.state != State.READY:
        return context
    if not asked.is_default:
        context |= {"steered": asked, **_progress(asked)}
        if asked.state != State.READY:
            return context
    context |= _found(post, asked, done)
    if own and context["cards"]:
        shown = [card["suggestion"] for card in context["cards"]]
        log_impressions(request=asked, shown=shown, user=request.user)  # type: ignore[arg-type]  # login_needed
    return context


def _progress(row: Post | RecommendationRequest) -> dict[str, Any]:
    waited = (timezone.now() - row.queued_at).total_seconds()
    return {
        "working": row.state in (State.QUEUED, State.ANALYSING),
        "patient": waited > PATIENCE_SECONDS,
        "failure": reasons.text_of(row.reason) if row.state == State.FAILED else "",
    }


def _asked(request: HttpRequest, post: Post) -> RecommendationRequest | None:
    """Whose songs the page is about: those of ``?request=``, or else of the request that came with the post."""
    named = request.GET.get("request")
    if not named:
        return default_request(post=post)
    try:
        key = uuid.UUID(named)
    except ValueError:
        raise Http404("There is no such request.") from None
    return get_object_or_404(post.requests, pk=key)


def _found(post: Post, asked: RecommendationRequest, done: Done | None) -> dict[str, Any]:
    """Suggestions with their lines, but for the chosen song, and all tags; a reason points at the region where its tag
    was seen best. A song that was hidden a moment ago keeps its place in ``rows``, for the way back."""
    seen = [
        {**tag, "photo": photo.position, "percent": round(tag["score"] * 100)}
        for photo in post.photos.all()
        if (found := analysis(photo=photo))
        for tag in found.tags
    ]
    seen.sort(key=lambda tag: -tag["score"])
    by_name = {tag["name"]: tag for tag in reversed(seen)}
    others = suggestions_of(request=asked).exclude(song=post.chosen_song_id)
    cards = [_card(suggestion, by_name) for suggestion in others]
    hidden = list(hidden_suggestions(request=asked).exclude(song=post.chosen_song_id))
    just_hidden = [row for row in hidden if done and done.what == "hidden" and row.song_id == done.song.pk]
    rows = [*cards, *({"suggestion": row, "just_hidden": True} for row in just_hidden)]
    origins = {card["suggestion"].origin for card in cards}
    return {
        "cards": cards,
        "rows": sorted(rows, key=lambda row: row["suggestion"].rank),
        "hidden": [row.song for row in hidden if row not in just_hidden],
        "all_hidden": bool(hidden) and not cards,
        "confident": asked.confident is not False,  # answers from before releases knew count as they did
        "otherwise": " or ".join(text for origin, text in OTHERWISE.items() if origin in origins) or "the nearest ones",
        "notice": reasons.notice_of(asked.notice),
        "tags": list({tag["name"]: tag for tag in reversed(seen)}.values())[::-1],
    }


def _card(suggestion: Suggestion, tags: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Rules that speak for the song are reasons like the photo's tags; that one speaks against it helps nobody."""
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


def _own(request: HttpRequest, post_id: uuid.UUID) -> Post:
    return get_object_or_404(own_posts(user=request.user), pk=post_id)


def _again(request: HttpRequest, post: Post, done: Done | None = None) -> HttpResponse:
    """The result part for htmx, the whole page without it."""
    if is_htmx(request):
        return render(request, "socialsongs/_result.html", _post(request, post.pk, done))
    return redirect(_page(post, _asked(request, post)))


def _page(post: Post, asked: RecommendationRequest | None) -> str:
    """At the songs, which on a phone are below the photo."""
    query = "" if asked is None or asked.is_default else f"?request={asked.pk}"
    return f"{reverse('socialsongs:post-page', args=[post.pk])}{query}#result"


@login_needed
@require_POST
def steer(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """Ask for other songs, by a few words; none lead back to the first songs."""
    post = _own(request, post_id)
    text = request.POST.get("text", "").strip()
    form = RecommendationParametersSerializer(data={"text": text})
    if not form.is_valid():
        return _not_steered(request, post, text, str(form.errors["text"][0]), 422)
    if text and (problem := too_often(request, RequestThrottle())):
        return _not_steered(request, post, text, problem, 429)
    try:
        asked = request_recommendations(post=post, text=text) if text else None
    except PostFailed:
        return _again(request, post)  # the page says so
    except UnknownPost as error:
        raise Http404(str(error)) from error
    target = _page(post, asked)
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _not_steered(request: HttpRequest, post: Post, text: str, problem: str, status: int) -> HttpResponse:
    context = _post(request, post.pk) | {"text": text, "error": problem}
    template = "socialsongs/_result.html" if is_htmx(request) else "socialsongs/post.html"
    return render(request, template, context, status=status)


@login_needed
@require_POST
def choose(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    try:
        song = choose_song(post=post, user=request.user, song_id=song_id, request=_asked(request, post))  # type: ignore[arg-type]
    except (UnknownPost, UnknownSong) as error:
        raise Http404(str(error)) from error
    return _again(request, post, Done("chosen", song))


@login_needed
@require_POST
def unchoose(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    song = post.chosen_song
    clear_choice(post=post)
    return _again(request, post, Done("removed", song) if song else None)


@login_needed
@require_POST
def feedback(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID, kind: str) -> HttpResponse:
    """Play, skip or hide; a hidden song leaves the list."""
    post = _own(request, post_id)
    if kind not in (Feedback.Kind.PLAY, Feedback.Kind.SKIP, Feedback.Kind.HIDE):
        raise Http404("There is no such feedback.")
    try:
        record_feedback(post=post, user=request.user, song_id=song_id, kind=kind, request=_asked(request, post))  # type: ignore[arg-type]
    except (UnknownPost, NotSuggested) as error:
        raise Http404(str(error)) from error
    if kind != Feedback.Kind.HIDE:
        return HttpResponse(status=204)
    return _again(request, post, Done("hidden", Song.objects.get(pk=song_id)))


@login_needed
@require_POST
def show_again(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID | None = None) -> HttpResponse:
    """Take back that a song was hidden; without one, that any was."""
    post = _own(request, post_id)
    try:
        show_hidden(post=post, user=request.user, song_ids=None if song_id is None else [song_id])  # type: ignore[arg-type]
    except UnknownPost as error:
        raise Http404(str(error)) from error
    song = Song.objects.filter(pk=song_id).first() if song_id else None
    return _again(request, post, Done("shown", song) if song else None)


@login_needed
@require_POST
def retry(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    try:
        retry_post(post=post)
    except NotRetryable:
        post.refresh_from_db()  # it was retried in another tab: show how it stands
    return _again(request, post)


@login_needed
@require_POST
def delete(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    delete_post(post=_own(request, post_id))
    target = reverse("socialsongs:home")
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)
