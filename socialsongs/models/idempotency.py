"""Idempotency keys, with what came of the requests that named them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .base import AppModel
from .post import Post
from .suggestion import RecommendationRequest


class IdempotencyKey(AppModel):
    """A person's key. While its request runs it is claimed (``token``, ``lease_expires_at``); then it is finished.

    The row is finished in the transaction that writes what the request asked for, so there is one without the other
    never. It leads to the post or the request that was created, or holds the answer of a request that created neither.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="socialsongs_idempotency_keys"
    )
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was sent with the key.")
    token = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, null=True, related_name="+")
    request = models.ForeignKey(RecommendationRequest, on_delete=models.CASCADE, null=True, related_name="+")
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="socialsongs_key_once"),
        ]
        indexes = [
            # Pruning: WHERE created_at < ..
            models.Index(fields=["created_at"], name="socialsongs_key_age"),
        ]

    def __str__(self) -> str:
        return self.key
