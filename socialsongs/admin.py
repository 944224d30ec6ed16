"""Curation in Django admin. Writes go through the services, so that the search follows in the same commit."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from .models import (
    Feedback,
    ModelRelease,
    PhotoAnalysis,
    Post,
    PostPhoto,
    RecommendationRequest,
    Song,
    SongEmbedding,
    State,
    Suggestion,
    Worker,
)
from .selectors.catalogue import encoding_coverage
from .selectors.workers import all_workers
from .services.catalogue import save_song, set_status
from .services.queue import queue_songs, requeue_posts, requeue_requests

COLOURS = {
    "published": "#1a7f37", "ready": "#1a7f37", "active": "#1a7f37",
    "draft": "#6e7781", "queued": "#6e7781", "staged": "#0969da", "analysing": "#0969da",
    "retired": "#8250df", "failed": "#b3261e", "missing": "#6e7781", "starting": "#0969da", "refusing": "#b3261e",
}  # fmt: skip


def badge(state: str, note: str = "") -> SafeString:
    return format_html(
        '<span style="background:{};color:#fff;border-radius:9px;padding:2px 9px;white-space:nowrap">{}</span> {}',
        COLOURS.get(state, "#6e7781"),
        state,
        note,
    )


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that people and workers make, never hands."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# Reasons for which a song has been dealt with and yet cannot be suggested.
NOT_ENCODED = {"no_lyrics": "No lyrics", "unsupported_language": "Language not supported"}


class EncodingFilter(admin.SimpleListFilter):
    title = "encoding (active release)"
    parameter_name = "encoding"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*State.choices, *NOT_ENCODED.items(), ("missing", "Missing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Song]) -> QuerySet[Song]:
        rows = SongEmbedding.objects.filter(release__state=ModelRelease.State.ACTIVE)
        if self.value() == "missing":
            return queryset.exclude(pk__in=rows.values("song"))
        if self.value() in NOT_ENCODED:
            return queryset.filter(pk__in=rows.filter(reason=self.value()).values("song"))
        if self.value():
            return queryset.filter(pk__in=rows.filter(state=self.value()).values("song"))
        return queryset


@admin.register(Song)
class SongAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "artist", "genre", "language", "status_badge", "encoding", "explicit", "popularity"]
    list_filter = ["status", EncodingFilter, "explicit", "language", "genre"]
    search_fields = ["title", "artist", "album", "lyrics", "isrc"]
    list_per_page = 50
    actions = ["publish", "retire", "to_draft", "read_again"]
    readonly_fields = ["encoding", "player", "source", "source_id", "created_at", "updated_at"]
    save_on_top = True
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    fieldsets = [
        (None, {"fields": [("title", "artist"), ("album", "year"), ("status", "explicit"), "encoding"]}),
        ("Lyrics", {"fields": ["lyrics", "synced_lyrics", "language"]}),
        ("For finding", {"fields": [("genre", "popularity"), ("moods", "themes"), "markets"]}),
        ("Preview", {"fields": ["preview_file", "preview_url", "preview_start_ms", "player", "artwork_url"]}),
        ("Rights and ids", {"fields": ["licence", ("isrc", "musicbrainz_id"), ("source", "source_id")]}),
        ("Dates", {"fields": [("created_at", "updated_at")]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Song]:
        active = SongEmbedding.objects.filter(release__state=ModelRelease.State.ACTIVE).defer(
            "stage_one", "line_states"
        )
        return (
            super().get_queryset(request).prefetch_related(Prefetch("embeddings", active, to_attr="active_embedding"))
        )

    def save_model(self, request: HttpRequest, obj: Song, form: Any, change: bool) -> None:
        save_song(song=obj)

    @admin.display(description="status", ordering="status")
    def status_badge(self, song: Song) -> SafeString:
        return badge(song.status)

    @admin.display(description="encoding")
    def encoding(self, song: Song) -> SafeString:
        found = getattr(song, "active_embedding", [])
        return badge(found[0].state, found[0].reason.replace("_", " ")) if found else badge("missing")

    @admin.display(description="listen")
    def player(self, song: Song) -> str | SafeString:
        url = reverse("socialsongs:song-preview", args=[song.pk]) if song.preview_file else song.preview_url
        return format_html('<audio controls preload="none" src="{}"></audio>', url) if url else "no preview"

    @admin.action(description="Publish", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.PUBLISHED)

    @admin.action(description="Retire", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.RETIRED)

    @admin.action(description="Back to draft", permissions=["change"])
    def to_draft(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.DRAFT)

    @admin.action(description="Read the lyrics again", permissions=["change"])
    def read_again(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        rows = SongEmbedding.objects.filter(song__in=queryset.values("pk"))
        queue_songs(rows=rows)
        messages.success(request, f"{queryset.count()} songs are queued.")

    def _set(self, request: HttpRequest, queryset: QuerySet[Song], status: str) -> None:
        changed = set_status(songs=list(queryset.values_list("pk", flat=True)), status=status)
        messages.success(request, f"{changed} songs are now {status}.")


@admin.register(Post)
class PostAdmin(ReadOnly):
    list_display = ["thumbnail", "id", "owner", "state_badge", "visibility", "attempts", "chosen_song", "created_at"]
    list_display_links = ["thumbnail", "id"]
    list_filter = ["state", "reason", "visibility", "created_at"]
    list_select_related = ["owner", "chosen_song"]
    date_hierarchy = "created_at"
    actions = ["retry"]
    readonly_fields = ["id", "owner", "caption", "visibility", "state_badge", "attempts", "created_at", "finished_at",
              "chosen_song", "photos_and_tags", "suggested"]  # fmt: skip
    fields = (*readonly_fields,)

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["id__exact", "caption", f"owner__{get_user_model().USERNAME_FIELD}"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Post]:
        return (
            super().get_queryset(request).prefetch_related(Prefetch("photos", PostPhoto.objects.order_by("position")))
        )

    @admin.display(description="photo")
    def thumbnail(self, post: Post) -> SafeString:
        photos = list(post.photos.all())
        if not photos:
            return format_html("{}", "–")
        return _image(post, photos[0], 64)

    @admin.display(description="state", ordering="state")
    def state_badge(self, post: Post) -> SafeString:
        return badge(post.state, post.reason.replace("_", " "))

    @admin.display(description="photos and tags")
    def photos_and_tags(self, post: Post) -> SafeString:
        parts = []
        for photo in post.photos.all():
            analyses = PhotoAnalysis.objects.filter(subject__in=photo.subjects.all()).select_related("release")
            seen = [
                (
                    analysis.release.name,
                    ", ".join(f"{tag['name']} {tag['score']:.2f}" for tag in analysis.tags) or "nothing",
                )
                for analysis in analyses
            ] or [("", "not processed")]
            parts.append((_image(post, photo, 320), format_html_join("", "<p><b>{}</b> {}</p>", seen)))
        return format_html_join("", "<div>{}{}</div>", parts)

    @admin.display(description="suggestions")
    def suggested(self, post: Post) -> SafeString:
        rows = Suggestion.objects.filter(request__post=post).select_related("song", "release", "request")
        return format_html(
            "<table><tr><th>#</th><th>song</th><th>line</th><th>because of</th><th>score</th><th>release</th></tr>"
            "{}</table>",
            format_html_join(
                "",
                '<tr><td>{}</td><td><a href="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>',
                (
                    (
                        row.rank,
                        reverse("admin:socialsongs_song_change", args=[row.song_id]),
                        row.song,
                        row.line,
                        ", ".join(f"{reason['tag']} {reason['weight']:.2f}" for reason in row.reasons),
                        f"{row.score:.3f}",
                        row.release,
                    )
                    for row in rows.order_by("-request__created_at", "rank")
                ),
            ),
        )

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_post")

    @admin.action(description="Try again (failed posts)", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        messages.success(request, f"{requeue_posts(posts=queryset)} posts are queued again.")


def _image(post: Post, photo: PostPhoto, side: int) -> SafeString:
    url = reverse("socialsongs:post-photo", args=[post.pk, photo.position])
    return format_html(
        '<img src="{}" alt="" loading="lazy" style="max-width:{}px;max-height:{}px;border-radius:6px">', url, side, side
    )


@admin.register(ModelRelease)
class ModelReleaseAdmin(ReadOnly):
    """Activation is `manage.py releases activate NAME`, on a machine that has the files."""

    list_display = ["name", "state_badge", "coverage", "sha256", "created_at", "activated_at"]
    list_filter = ["state"]
    search_fields = ["name", "sha256"]
    fields = ["name", "state_badge", "coverage", "sha256", "created_at", "activated_at", "pretty_card"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="state", ordering="state")
    def state_badge(self, release: ModelRelease) -> SafeString:
        return badge(release.state)

    @admin.display(description="songs encoded")
    def coverage(self, release: ModelRelease) -> str:
        encoded, total = encoding_coverage(release=release)
        return f"{encoded} of {total}"

    @admin.display(description="card")
    def pretty_card(self, release: ModelRelease) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(release.card, indent=2, ensure_ascii=False))


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    """Heartbeats; a row whose process went away without a word disappears after a day."""

    list_display = ["name", "state_badge", "device", "release", "queues", "seen_at", "busy_seconds"]
    fields = ["name", "state_badge", "problem", "device", "release", "queues", "host", "pid", "started_at", "seen_at",
              "busy_seconds", "pretty_figures"]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        return all_workers().order_by("name")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="state", ordering="state")
    def state_badge(self, worker: Worker) -> SafeString:
        live: bool = worker.live  # type: ignore[attr-defined]
        return badge(worker.state, worker.problem) if live else badge("missing", "no heartbeat, or its batch hangs")

    @admin.display(description="figures since its start")
    def pretty_figures(self, worker: Worker) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(worker.figures, indent=2))


@admin.register(RecommendationRequest)
class RecommendationRequestAdmin(ReadOnly):
    list_display = ["id", "post", "text", "state_badge", "release", "created_at"]
    list_filter = ["state", "reason", "bulk", "is_default", "created_at"]
    list_select_related = ["post", "release"]
    actions = ["retry"]

    @admin.display(description="state", ordering="state")
    def state_badge(self, request: RecommendationRequest) -> SafeString:
        return badge(request.state, request.reason.replace("_", " "))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_recommendationrequest")

    @admin.action(description="Answer again (failed requests)", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[RecommendationRequest]) -> None:
        messages.success(request, f"{requeue_requests(requests=queryset)} requests are queued again.")


@admin.register(Feedback)
class FeedbackAdmin(ReadOnly):
    list_display = ["created_at", "kind", "song", "rank", "user", "release"]
    list_filter = ["kind", "release", "created_at"]
    list_select_related = ["song", "user", "release"]
    date_hierarchy = "created_at"
