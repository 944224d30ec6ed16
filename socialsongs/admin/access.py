"""The record of who saw private posts of others; it can be read, not changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import PostAccess
from .base import ReadOnly


@admin.register(PostAccess)
class PostAccessAdmin(ReadOnly):
    """One row for a reader, post, door and hour; the number of accesses within the hour is not stored."""

    list_display = ["first_at", "reader_name", "door", "post", "owner"]
    list_filter = ["door", "first_at"]
    search_fields = ["reader_name", "=reader", "=post", "=owner"]
    date_hierarchy = "first_at"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
