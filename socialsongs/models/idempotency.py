"""Idempotency keys, with what came of the requests that named them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .api_client import ApiClient
from .base import AppModel
from .post import Post
from .suggestion import RecommendationRequest


class IdempotencyKey(AppModel):
    """A person's key, or the key of an API client that acts for nobody.

    While its request runs it is claimed (``token``, ``lease_expires_at``); then it is finished.
    The row is finished in the transaction that writes what the request asked for, so there is one without the other
    never. It leads to the post or the request that was created, or holds the answer of a request that created neither.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="socialsongs_idempotency_keys",
        verbose_name=_("user"),
    )
    client = models.ForeignKey(
        ApiClient, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("client")
    )
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, help_text=_("SHA-256 of what was sent with the key.")
    )
    token = models.UUIDField(_("token"), null=True)
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("post"))
    request = models.ForeignKey(
        RecommendationRequest, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("request")
    )
    # JSON as it was answered: jsonb would not keep the order of keys.
    answer = models.TextField(_("answer"), blank=True, default="")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="socialsongs_key_once"),
            models.UniqueConstraint(fields=["client", "key"], name="socialsongs_key_once_of_client"),
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(client=None), name="socialsongs_key_of_one"
            ),
        ]
        indexes = [
            # Pruning: WHERE created_at < ..
            models.Index(fields=["created_at"], name="socialsongs_key_age"),
        ]

    def __str__(self) -> str:
        return self.key
