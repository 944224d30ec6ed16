"""The poster's pages. Each works without JavaScript; with it, htmx swaps the part that changed."""

from __future__ import annotations

import uuid
from math import ceil
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from ..api.problem import status_of
from ..api.serializers import RecommendationParametersSerializer
from ..api.throttles import PerUser, RequestThrottle, UploadThrottle
from ..conf import MIB, config
from ..errors import NotRetryable, NotSuggested, PostFailed, SocialSongsError, UnknownPost, UnknownSong
from ..models import Feedback, Post, Song
from ..selectors.posts import find_managed_post, own_posts
from ..services.feedback import choose_song, clear_choice, record_feedback, undo_hide
from ..services.posts import body_digest, create_post, delete_post, retry_post
from ..services.recommendation_requests import request_recommendations
from .expired_login import is_htmx, login_needed
from .post_context import Done, host_page, page_url, place_context, post_context, requested

POSTS_PER_PAGE = 12
# A form that is sent again while it is being worked on waits this long for the first one's post.
SENT_TWICE_SECONDS = 5.0


def rate_problem(request: HttpRequest, throttle: PerUser) -> str:
    """Return an error text when the person's rate, which pages and API share, is used up; else an empty one."""
    if throttle.allow_request(request, None):
        return ""
    seconds = ceil(throttle.wait())
    return ngettext(
        "Too many requests. Try again in %(number)d second.",
        "Too many requests. Try again in %(number)d seconds.",
        seconds,
    ) % {"number": seconds}


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
    return render(request, "socialsongs/post.html", post_context(request, post_id))


@login_needed
@require_GET
def progress(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """The part of the page that changes while the post is analysed; the script polls it.

    A deleted post is answered 410, which ends the polling: a 404 may come from a proxy, and the script polls on.
    """
    try:
        context = post_context(request, post_id, within=host_page(request))
    except Http404:
        if not is_htmx(request):
            raise
        return render(request, "socialsongs/_gone.html", place_context(None, None, host_page(request)), status=410)
    return render(request, "socialsongs/_result.html", context)


def _own_post(request: HttpRequest, post_id: uuid.UUID) -> Post:
    post = find_managed_post(user=request.user, post_id=post_id)
    if post is None:
        raise Http404("There is no such post, or it is not yours.")
    return post


def _result_response(request: HttpRequest, post: Post, done: Done | None = None) -> HttpResponse:
    """Render the part with the suggestions for htmx; without it, redirect to the page that it is part of."""
    within = host_page(request)
    if is_htmx(request):
        return render(request, "socialsongs/_result.html", post_context(request, post.pk, done, within=within))
    return redirect(page_url(post, requested(request, post), within))


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
    target = page_url(post, asked)
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _steering_refused(request: HttpRequest, post: Post, text: str, problem: str, status: int) -> HttpResponse:
    context = post_context(request, post.pk) | {"text": text, "error": problem}
    template = "socialsongs/_result.html" if is_htmx(request) else "socialsongs/post.html"
    return render(request, template, context, status=status)


@login_needed
@require_POST
def choose(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID) -> HttpResponse:
    post = _own_post(request, post_id)
    try:
        song = choose_song(post=post, user=request.user, song_id=song_id, request=requested(request, post))  # type: ignore[arg-type]
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
        record_feedback(post=post, user=request.user, song_id=song_id, kind=kind, request=requested(request, post))  # type: ignore[arg-type]
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
        undo_hide(post=post, song_ids=None if song_id is None else [song_id])
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
