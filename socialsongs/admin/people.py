"""Tastes and feedback."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from ..models import Feedback, Taste
from ..services import taste as services
from .base import ReadOnly


@admin.register(Taste)
class TasteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A row offers a person that their taste counts; they may turn it off. Deleting the row ends the offer."""

    list_display = ["user", "enabled", "since"]
    list_filter = ["enabled"]
    list_select_related = ["user"]
    raw_id_fields = ["user"]  # the host's user model may not be in the admin
    actions = ["reset"]

    def get_fields(self, request: HttpRequest, obj: Taste | None = None) -> Any:
        return ["user", "enabled", "since"] if obj else ["user"]

    def get_readonly_fields(self, request: HttpRequest, obj: Taste | None = None) -> list[str]:
        """Only the person can turn it on again after they turned it off."""
        if obj is None:
            return []
        return ["user", "since"] if obj.enabled else ["user", "enabled", "since"]

    def save_model(self, request: HttpRequest, obj: Taste, form: Any, change: bool) -> None:
        if change:
            services.set_enabled(user=obj.user, enabled=obj.enabled)
        else:
            obj.pk = services.offer_taste(user=obj.user).pk

    @admin.action(description=_("Forget: earlier choices and skips no longer count"), permissions=["change"])
    def reset(self, request: HttpRequest, queryset: QuerySet[Taste]) -> None:
        for row in queryset.select_related("user"):
            services.reset(user=row.user)
        people = queryset.count()
        said = ngettext(
            "The taste of %(number)d person was forgotten.", "The taste of %(number)d people was forgotten.", people
        )
        messages.success(request, said % {"number": people})


@admin.register(Feedback)
class FeedbackAdmin(ReadOnly):
    """Rows without a request and a user are about posts that were deleted."""

    list_display = ["created_at", "kind", "song", "rank", "propensity", "user", "release"]
    list_filter = ["kind", "release", "created_at"]
    list_select_related = ["song", "user", "release"]
    date_hierarchy = "created_at"
