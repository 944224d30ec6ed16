"""Posts, their requests and suggestions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import floatformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..models import PhotoAnalysis, Post, PostAccess, PostPhoto, RecommendationRequest, Suggestion
from ..reasons import describe_notice, short_text
from ..selectors.permissions import permitted
from ..services.access import record_access
from ..services.posts import delete_posts
from ..services.queue import requeue_posts, requeue_requests
from .base import ReadOnly, badge, picture, suggestion_table

NEWEST = 20


class OfPosts(ReadOnly):
    """Rows about posts, for people who may view posts. Access to private posts of others is recorded."""

    def posts_of(self, rows: Iterable[Any]) -> Iterable[Post]:
        raise NotImplementedError

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        model = self.opts.model_name
        return all(permitted(user=request.user, permission=name) for name in {f"view_{model}", "view_post"})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the person may also view the rows: the page that asks for confirmation shows them."""
        return super().has_delete_permission(request, obj) and self.has_view_permission(request, obj)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if "cl" in (context := self._context(response)):
            self._record_access(request, context["cl"].result_list)
        return response

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        response = super().changeform_view(request, object_id, *args, **kwargs)
        if "original" in (context := self._context(response)):
            self._record_access(request, [context["original"]])
        return response

    def _context(self, response: HttpResponse) -> dict[str, Any]:
        """Return the context of a page that is not rendered yet; empty for other responses."""
        return response.context_data or {} if isinstance(response, TemplateResponse) else {}

    def _record_access(self, request: HttpRequest, rows: Iterable[Any]) -> None:
        record_access(reader=request.user, posts=self.posts_of(rows), door=PostAccess.Door.ADMIN)  # type: ignore[arg-type]


@admin.register(Post)
class PostAdmin(OfPosts):
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

    def posts_of(self, rows: Iterable[Post]) -> Iterable[Post]:
        return rows

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Ask for no further permissions: who may delete a post may delete all that belongs to it."""
        deletable, counts, _, protected = super().get_deleted_objects(objs, request)
        return deletable, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Post) -> None:
        delete_posts(posts=Post.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        delete_posts(posts=queryset)

    @admin.display(description=_("photo"))
    def thumbnail(self, post: Post) -> SafeString:
        photos = list(post.photos.all())
        if not photos:
            return format_html("{}", "–")
        return picture(post, photos[0], 64)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, post: Post) -> SafeString:
        return badge(post.state, short_text(post.reason))

    @admin.display(description=_("photos and tags"))
    def photos_and_tags(self, post: Post) -> SafeString:
        parts = []
        for photo in post.photos.all():
            analyses = PhotoAnalysis.objects.filter(subject__post_photo=photo).select_related("release")
            rows = [
                (
                    analysis.release.name,
                    ", ".join(f"{tag['name']} {floatformat(tag['score'], 2)}" for tag in analysis.tags)
                    or gettext("no tags"),
                )
                for analysis in analyses
            ] or [("", gettext("not analysed yet"))]
            parts.append((picture(post, photo, 320), format_html_join("", "<p><b>{}</b> {}</p>", rows)))
        return format_html_join("", "<div>{}{}</div>", parts)

    @admin.display(description=_("suggestions"))
    def suggested(self, post: Post) -> SafeString:
        """Render the default request first, then the newest further requests."""
        rows = Prefetch("suggestions", Suggestion.objects.select_related("song", "release"))
        return format_html_join(
            "",
            '<p><a href="{}">{}</a> {}</p>{}',
            (
                (
                    reverse("admin:socialsongs_recommendationrequest_change", args=[asked.pk]),
                    asked.text or (_("Default") if asked.is_default else _("Further")),
                    badge(asked.state, short_text(asked.reason)),
                    suggestion_table(asked.suggestions.all()),
                )
                for asked in post.requests.order_by("-is_default", "-created_at").prefetch_related(rows)[:NEWEST]
            ),
        )

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_post")

    @admin.action(description=_("Try again (failed posts)"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Post]) -> None:
        queued = requeue_posts(posts=queryset)
        said = ngettext("%(number)d post is queued again.", "%(number)d posts are queued again.", queued)
        messages.success(request, said % {"number": queued})


@admin.register(RecommendationRequest)
class RecommendationRequestAdmin(OfPosts):
    list_display = ["id", "post", "text", "state_badge", "confident", "notice", "release", "created_at"]
    list_filter = ["state", "reason", "confident", "notice", "bulk", "is_default", "created_at"]
    list_select_related = ["post", "release"]
    actions = ["retry"]
    fields = ["id", "post", "subject", "text", "pretty_parameters", "is_default", "state_badge", "attempts", "release",
              "confident", "notice_text", "suggested", "created_at", "finished_at", "shown_at"]  # fmt: skip

    def posts_of(self, rows: Iterable[RecommendationRequest]) -> Iterable[Post]:
        return (row.post for row in rows if row.post is not None)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, request: RecommendationRequest) -> SafeString:
        return badge(request.state, short_text(request.reason))

    @admin.display(description=_("parameters"))
    def pretty_parameters(self, request: RecommendationRequest) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(request.parameters, indent=2, ensure_ascii=False))

    @admin.display(description=_("notice"))
    def notice_text(self, request: RecommendationRequest) -> str:
        notice = describe_notice(request.notice)
        return f"{notice['code']}: {notice['detail']}" if notice else "–"

    @admin.display(description=_("suggestions"))
    def suggested(self, request: RecommendationRequest) -> SafeString:
        return suggestion_table(request.suggestions.select_related("song", "release"))

    def get_deleted_objects(self, objs: Iterable[RecommendationRequest], request: HttpRequest) -> Any:
        """Protect default requests: without its default request a post would never be answered."""
        deletable, counts, permissions, protected = super().get_deleted_objects(objs, request)  # type: ignore[arg-type]
        return (
            deletable,
            counts,
            permissions,
            [
                *protected,
                *(
                    gettext("%(request)s, the default request of a post") % {"request": row}
                    for row in objs
                    if row.is_default
                ),
            ],
        )

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("socialsongs.change_recommendationrequest")

    @admin.action(description=_("Answer again (failed requests)"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[RecommendationRequest]) -> None:
        queued = requeue_requests(requests=queryset)
        said = ngettext("%(number)d request is queued again.", "%(number)d requests are queued again.", queued)
        messages.success(request, said % {"number": queued})
