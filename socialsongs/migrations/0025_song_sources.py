import django.db.models.deletion
import socialsongs.plain_text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('socialsongs', '0024_idempotency_keys_of_clients'),
    ]

    operations = [
        migrations.CreateModel(
            name='SongSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True, validators=[socialsongs.plain_text.plain_text], verbose_name='name')),
                ('client', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='song_sources', to='socialsongs.apiclient', verbose_name='client')),
            ],
            options={
                'verbose_name': 'source of songs',
                'verbose_name_plural': 'sources of songs',
                'ordering': ['name'],
            },
        ),
    ]
