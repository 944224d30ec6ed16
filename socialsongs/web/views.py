"""The poster's pages. Each works without JavaScript; htmx only swaps the part that changed."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from .. import reasons
from ..conf import MIB, config
from ..errors import NotRetryable, NotSuggested, SocialSongsError, UnknownSong
from ..models import Feedback, Post, State
from ..selectors.posts import analysis, excerpt, is_confident, manages_post, own_posts, suggestions, visible_posts
from ..services.feedback import choose_song, clear_choice, record_feedback
from ..services.posts import create_post, delete_post, retry_post
from .samples import sample_photos

POSTS_PER_PAGE = 12
# After this long the page says that it may be closed, and asks less often.
PATIENCE_SECONDS = 20


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


@login_required
@require_http_methods(["GET", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Pick or drop a photo; the own posts below."""
    if request.method == "POST":
        return _upload(request)
    page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(request.GET.get("page"))
    template = "socialsongs/_posts.html" if is_htmx(request) else "socialsongs/home.html"
    return render(request, template, {"page": page, **_form()})


def _form(**more: Any) -> dict[str, Any]:
    limits = config()
    return {
        "samples": sample_photos(),
        "max_bytes": limits.MAX_UPLOAD_BYTES,
        "max_megabytes": limits.MAX_UPLOAD_BYTES // MIB,
        "max_photos": limits.MAX_PHOTOS_PER_POST,
        **more,
    }


def _upload(request: HttpRequest) -> HttpResponse:
    visibility = request.POST.get("visibility", Post.Visibility.PRIVATE)
    caption = request.POST.get("caption", "").replace("\0", "").strip()
    try:
        uploads = list(request.FILES.getlist("photos"))
        if name := request.POST.get("sample"):
            uploads = [_sample_upload(name)]
        post, _ = create_post(
            owner=request.user,  # type: ignore[arg-type]  # login_required
            uploads=uploads,
            caption=caption[:2200],
            visibility=visibility if visibility in Post.Visibility.values else Post.Visibility.PRIVATE,
        )
    except SocialSongsError as error:
        context = _form(error=str(error), caption=caption)
        if is_htmx(request):
            return render(request, "socialsongs/_error.html", context, status=422)
        page = Paginator(own_posts(user=request.user), POSTS_PER_PAGE).get_page(1)
        return render(request, "socialsongs/home.html", {"page": page, **context}, status=422)
    target = reverse("socialsongs:post-page", args=[post.pk])
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)


def _sample_path(name: str) -> Path:
    try:
        return sample_photos()[name]
    except KeyError:
        raise Http404(f"There is no sample photo {name!r}.") from None


def _sample_upload(name: str) -> SimpleUploadedFile:
    path = _sample_path(name)
    return SimpleUploadedFile(path.name, path.read_bytes())


@login_required
@require_GET
def sample(request: HttpRequest, name: str) -> FileResponse:
    response = FileResponse(_sample_path(name).open("rb"))
    response["Cache-Control"] = "private, max-age=86400"
    return response


@login_required
@require_GET
def post_page(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    return render(request, "socialsongs/post.html", _post(request, post_id))


@login_required
@require_GET
def progress(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    """The part of the page that waits; asked again and again until there is something to see."""
    return render(request, "socialsongs/_result.html", _post(request, post_id))


def _post(request: HttpRequest, post_id: uuid.UUID) -> dict[str, Any]:
    post = get_object_or_404(visible_posts(user=request.user), pk=post_id)
    manages = manages_post(user=request.user, post=post)
    context: dict[str, Any] = {"post": post, "manages": manages, "own": post.owner_id == request.user.pk}
    waited = (timezone.now() - post.queued_at).total_seconds()
    context |= {"working": post.state in (State.QUEUED, State.ANALYSING), "patient": waited > PATIENCE_SECONDS}
    if post.state == State.FAILED:
        context["failure"] = reasons.text_of(post.reason)
    if manages and post.state == State.READY:
        context |= _found(post)
    return context


def _found(post: Post) -> dict[str, Any]:
    """Suggestions with their lines, and all tags; a reason points at the region where its tag was seen best."""
    seen = [
        {**tag, "photo": photo.position, "percent": round(tag["score"] * 100)}
        for photo in post.photos.all()
        if (found := analysis(photo=photo))
        for tag in found.tags
    ]
    seen.sort(key=lambda tag: -tag["score"])
    by_name = {tag["name"]: tag for tag in reversed(seen)}
    cards = [
        {
            "suggestion": suggestion,
            "song": suggestion.song,
            "line": excerpt(suggestion=suggestion),
            "reasons": [by_name.get(reason["tag"], {"name": reason["tag"]}) for reason in suggestion.reasons],
            "clip_seconds": max(0, (suggestion.clip_start_ms or 0) - suggestion.song.preview_start_ms) / 1000,
        }
        for suggestion in suggestions(post=post)
    ]
    confident = is_confident(post=post) is not False  # answers from before releases knew count as they did
    return {
        "cards": cards,
        "confident": confident,
        "tags": list({tag["name"]: tag for tag in reversed(seen)}.values())[::-1],
    }


def _own(request: HttpRequest, post_id: uuid.UUID) -> Post:
    return get_object_or_404(own_posts(user=request.user), pk=post_id)


def _again(request: HttpRequest, post: Post) -> HttpResponse:
    """The result part for htmx, the whole page without it."""
    if is_htmx(request):
        return render(request, "socialsongs/_result.html", _post(request, post.pk))
    return redirect("socialsongs:post-page", post.pk)


@login_required
@require_POST
def choose(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    try:
        choose_song(post=post, user=request.user, song_id=song_id)  # type: ignore[arg-type]
    except UnknownSong as error:
        raise Http404(str(error)) from error
    return _again(request, post)


@login_required
@require_POST
def unchoose(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    clear_choice(post=post)
    return _again(request, post)


@login_required
@require_POST
def feedback(request: HttpRequest, post_id: uuid.UUID, song_id: uuid.UUID, kind: str) -> HttpResponse:
    """Impression, play, skip or hide; a hidden song leaves the list."""
    post = _own(request, post_id)
    if kind not in set(Feedback.Kind.values) - {Feedback.Kind.CHOOSE}:
        raise Http404("There is no such feedback.")
    try:
        record_feedback(post=post, user=request.user, song_id=song_id, kind=kind)  # type: ignore[arg-type]
    except NotSuggested as error:
        raise Http404(str(error)) from error
    return _again(request, post) if kind == Feedback.Kind.HIDE else HttpResponse(status=204)


@login_required
@require_POST
def retry(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    post = _own(request, post_id)
    try:
        retry_post(post=post)
    except NotRetryable:
        post.refresh_from_db()  # it was retried in another tab: show how it stands
    return _again(request, post)


@login_required
@require_POST
def delete(request: HttpRequest, post_id: uuid.UUID) -> HttpResponse:
    delete_post(post=_own(request, post_id))
    target = reverse("socialsongs:home")
    return HttpResponseClientRedirect(target) if is_htmx(request) else redirect(target)
