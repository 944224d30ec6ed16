"""Who looked at private posts of others: to look at, by whoever has the permission."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import PostAccess
from .base import ReadOnly


@admin.register(PostAccess)
class PostAccessAdmin(ReadOnly):
    """A row stands for an hour: how often somebody looked within it is not kept."""

    list_display = ["first_at", "reader_name", "door", "post", "owner"]
    list_filter = ["door", "first_at"]
    search_fields = ["reader_name", "=reader", "=post", "=owner"]
    date_hierarchy = "first_at"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
