"""Releases and workers; both can be read, not changed."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..models import ModelRelease, Worker
from ..selectors.releases import encoding_coverage
from ..selectors.workers import all_workers, deafness
from .base import ReadOnly, badge


@admin.register(ModelRelease)
class ModelReleaseAdmin(ReadOnly):
    """Activation is `manage.py socialsongs_releases activate NAME`, on a machine that has the files."""

    list_display = ["name", "state_badge", "share", "coverage", "sha256", "created_at", "activated_at"]
    list_filter = ["state"]
    search_fields = ["name", "sha256"]
    fields = ["name", "state_badge", "share", "coverage", "sha256", "created_at", "activated_at", "pretty_card"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, release: ModelRelease) -> SafeString:
        return badge(release.state)

    @admin.display(description=_("songs encoded"))
    def coverage(self, release: ModelRelease) -> str:
        encoded, total = encoding_coverage(release=release)
        return gettext("%(encoded)d of %(total)d") % {"encoded": encoded, "total": total}

    @admin.display(description=_("card"))
    def pretty_card(self, release: ModelRelease) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(release.card, indent=2, ensure_ascii=False))


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    """Workers by their heartbeats; the row of a process that was killed is deleted after a day."""

    list_display = ["name", "state_badge", "device", "release", "queues", "seen_at", "busy_seconds"]
    fields = ["name", "state_badge", "problem", "device", "release", "queues", "host", "pid", "started_at", "seen_at",
              "busy_seconds", "pretty_figures"]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        return all_workers().order_by("name")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, worker: Worker) -> SafeString:
        live: bool = worker.live  # type: ignore[attr-defined]
        if not live:
            return badge("missing", _("no heartbeat, or its task hangs"))
        if problem := deafness(worker):
            return badge("elsewhere", problem)
        return badge(worker.state, worker.problem)

    @admin.display(description=_("figures since it started"))
    def pretty_figures(self, worker: Worker) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(worker.figures, indent=2))
