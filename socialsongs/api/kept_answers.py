"""Answers about posts that this process has given before, for as long as nothing that they show has changed.

Clients read a post again and again. Its answer is kept with the version of its rows, and given again only after one
query has found the same version; the policy decides each time, and access is recorded each time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from cachetools import LRUCache
from django.utils.translation import get_language
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from ..database import connection
from ..models import Post, State
from ..policy import policy
from ..selectors.post_version import post_version

POST_BYTES = 6000  # of a post's columns, with the longest caption
COLUMNS = [field.attname for field in Post._meta.concrete_fields]
MOST_BYTES = 16 * 1024 * 1024  # of each web process; an answer with 20 songs has about 25 kB


class KeptAnswer(NamedTuple):
    """The answers about one version of a post: with suggestions (True), and for who may not see them (False)."""

    version: str
    post: tuple[Any, ...]  # its columns: a row that a policy has used holds what it loaded, which may change
    contents: Mapping[bool, bytes]

    def size(self) -> int:
        return POST_BYTES + sum(map(len, self.contents.values()))


class RenderedJson(JSONRenderer):
    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        """Send bytes, which are JSON already, as they are."""
        return data if isinstance(data, bytes) else super().render(data, accepted_media_type, renderer_context)


_answers: LRUCache[tuple[object, ...], KeptAnswer] = LRUCache(MOST_BYTES, getsizeof=KeptAnswer.size)
_lock = threading.Lock()  # the cache is not safe for threads by itself


class Attempt(NamedTuple):
    """What is known before the rows are read: their version, and the answer that still shows it, if there is one."""

    key: tuple[object, ...]
    version: str | None
    post: Post | None = None
    content: bytes | None = None

    def keep(self, *, post: Post, sees_suggestions: bool, data: Any) -> bytes:
        """Return the answer as JSON, and keep it where the post is settled.

        When rows changed after the version was read, the next query finds another version.
        """
        content: bytes = RenderedJson().render(data)
        if self.version is None or post.state not in (State.READY, State.FAILED):
            return content
        with _lock, suppress(ValueError):  # the answer is larger than all that may be kept
            earlier = _answers.get(self.key)
            others = earlier.contents if earlier is not None and earlier.version == self.version else {}
            columns = tuple(getattr(post, name) for name in COLUMNS)
            _answers[self.key] = KeptAnswer(self.version, columns, {**others, sees_suggestions: content})
        return content


def attempt(request: Request, post_id: UUID) -> Attempt:
    """Look for an answer that the person may have."""
    # What an answer depends on beside rows and rights: the language, and the address that it was asked at.
    key = post_id, get_language(), request.build_absolute_uri("/")
    version = post_version(post_id=post_id)
    with _lock:
        kept = _answers.get(key)
    if kept is None or kept.version != version:
        return Attempt(key, version)
    rules, post = policy(), Post.from_db(connection().alias, COLUMNS, kept.post)
    if not rules.may_view(user=request.user, post=post):
        return Attempt(key, version)
    content = kept.contents.get(rules.may_view_suggestions(user=request.user, post=post))
    return Attempt(key, version, post, content)
