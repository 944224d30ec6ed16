"""The migration keeps the keys of the last day, and gives them back."""

import importlib
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from socialsongs.models import IdempotencyKey, Post

migration = importlib.import_module("socialsongs.migrations.0017_text_requests_and_idempotency_keys")


class Editor:
    connection = connection


@pytest.mark.django_db
def test_keys_of_the_last_day_move_to_their_table_and_back(alice, bob):
    def post(owner, key, days=0):
        made = Post.objects.create(owner=owner, idempotency_key=key, idempotency_fingerprint="f" * 64)
        Post.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(days=days))
        return made

    mine, his = post(alice, "k"), post(bob, "k")
    post(alice, "")
    post(alice, "old", days=2)
    migration.keep_keys(apps, Editor)
    migration.keep_keys(apps, Editor)  # a second time changes nothing
    rows = IdempotencyKey.objects.values_list("user", "key", "fingerprint", "post")
    assert set(rows) == {(alice.pk, "k", "f" * 64, mine.pk), (bob.pk, "k", "f" * 64, his.pk)}
    assert not IdempotencyKey.objects.filter(finished_at=None).exists()

    Post.objects.filter(idempotency_key="k").update(idempotency_key="", idempotency_fingerprint="")
    migration.return_keys(apps, Editor)
    assert set(Post.objects.filter(idempotency_key="k").values_list("pk", "idempotency_fingerprint")) == {
        (mine.pk, "f" * 64),
        (his.pk, "f" * 64),
    }
