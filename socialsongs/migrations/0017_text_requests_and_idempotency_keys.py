"""Requests for a text alone get an owner; idempotency keys get a table of their own, with the keys of the last day.

The columns of the posts stay for a version, so that processes of the version before work on during the upgrade.
"""

from datetime import timedelta

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.utils import timezone

KEPT = timedelta(days=1)


def keep_keys(apps, schema_editor):
    posts = apps.get_model("socialsongs", "Post").objects.using(schema_editor.connection.alias)
    keys = apps.get_model("socialsongs", "IdempotencyKey").objects.using(schema_editor.connection.alias)
    kept = posts.filter(created_at__gt=timezone.now() - KEPT).exclude(idempotency_key="")
    for post in kept.order_by("pk").iterator(chunk_size=1000):
        row, _ = keys.get_or_create(
            user_id=post.owner_id,
            key=post.idempotency_key,
            defaults={"fingerprint": post.idempotency_fingerprint, "post": post, "finished_at": post.created_at},
        )
        keys.filter(pk=row.pk).update(created_at=post.created_at)


def return_keys(apps, schema_editor):
    posts = apps.get_model("socialsongs", "Post").objects.using(schema_editor.connection.alias)
    keys = apps.get_model("socialsongs", "IdempotencyKey").objects.using(schema_editor.connection.alias)
    for row in keys.filter(post__isnull=False).iterator(chunk_size=1000):
        posts.filter(pk=row.post_id, owner=row.user_id, idempotency_key="").update(
            idempotency_key=row.key, idempotency_fingerprint=row.fingerprint
        )


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('socialsongs', '0016_api_clients'),
    ]

    operations = [
        migrations.AddField(
            model_name='recommendationrequest',
            name='owner',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='socialsongs_requests', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=255)),
                ('fingerprint', models.CharField(help_text='SHA-256 of what was sent with the key.', max_length=64)),
                ('token', models.UUIDField(null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('answer', models.JSONField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('post', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='socialsongs.post')),
                ('request', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='socialsongs.recommendationrequest')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='socialsongs_idempotency_keys', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='socialsongs_key_age')],
                'constraints': [models.UniqueConstraint(fields=('user', 'key'), name='socialsongs_key_once')],
            },
        ),
        migrations.RunPython(keep_keys, return_keys),
    ]
