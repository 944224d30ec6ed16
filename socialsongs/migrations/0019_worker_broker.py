from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('socialsongs', '0018_events'),
    ]

    operations = [
        migrations.AddField(
            model_name='worker',
            name='broker',
            field=models.CharField(blank=True, db_default='', default='', help_text='Digest of the broker it listens on.', max_length=16),
        ),
    ]
