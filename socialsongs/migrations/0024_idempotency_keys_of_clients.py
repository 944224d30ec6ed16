import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def fit_the_version_before(apps, schema_editor):
    """Delete the keys for which it has no place, and write JSON where there is no answer."""
    keys = apps.get_model("socialsongs", "IdempotencyKey").objects.using(schema_editor.connection.alias)
    keys.filter(user=None).delete()
    keys.filter(answer="").update(answer="null")


class Migration(migrations.Migration):

    dependencies = [
        ('socialsongs', '0023_texts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='idempotencykey',
            name='client',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='socialsongs.apiclient', verbose_name='client'),
        ),
        migrations.AlterField(
            model_name='idempotencykey',
            name='answer',
            field=models.TextField(blank=True, default='', verbose_name='answer'),
        ),
        migrations.AlterField(
            model_name='idempotencykey',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='socialsongs_idempotency_keys', to=settings.AUTH_USER_MODEL, verbose_name='user'),
        ),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.UniqueConstraint(fields=('client', 'key'), name='socialsongs_key_once_of_client'),
        ),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.CheckConstraint(condition=models.Q(('user', None), ('client', None), _connector='XOR'), name='socialsongs_key_of_one'),
        ),
        migrations.RunPython(migrations.RunPython.noop, fit_the_version_before),
    ]
