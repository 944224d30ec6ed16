
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import pgvector.django.halfvec
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('socialsongs', '0003_workers'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Rule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Shown as the reason beside a song that is pinned, raised or lowered.', max_length=80)),
                ('action', models.CharField(choices=[('pin', 'Pin'), ('boost', 'Boost'), ('bury', 'Bury'), ('block', 'Block')], max_length=5)),
                ('strength', models.FloatField(default=1.0, help_text='Of boost and bury: 1 is how far the relevances of songs for one photo usually lie apart.', validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(10.0)])),
                ('genre', models.CharField(blank=True, default='', help_text='Songs of this genre.', max_length=60)),
                ('tag', models.CharField(blank=True, default='', help_text='Only for photos in which this was seen.', max_length=60)),
                ('market', models.CharField(blank=True, default='', help_text='Only for requests from this market.', max_length=2, validators=[django.core.validators.RegexValidator('^[A-Z]{2}$', 'Two capital letters, as in ISO 3166.')])),
                ('starts_at', models.DateTimeField(blank=True, null=True)),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-created_at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='Taste',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('enabled', models.BooleanField(default=True, help_text='Off: nothing of it counts, until it is turned on again.')),
                ('since', models.DateTimeField(default=django.utils.timezone.now, help_text='What was chosen or skipped before counts no more.')),
            ],
            options={
                'verbose_name_plural': 'tastes',
            },
        ),
        migrations.AddField(
            model_name='modelrelease',
            name='share',
            field=models.PositiveSmallIntegerField(default=0, editable=False, help_text='Staged: answers for so many of a hundred people, in the place of the active one.', validators=[django.core.validators.MaxValueValidator(99)]),
        ),
        migrations.AddField(
            model_name='modelrelease',
            name='song_mean',
            field=pgvector.django.halfvec.HalfVectorField(blank=True, dimensions=128, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='photoanalysis',
            name='direction',
            field=pgvector.django.halfvec.HalfVectorField(blank=True, dimensions=128, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='recommendationrequest',
            name='notice',
            field=models.CharField(blank=True, default='', editable=False, help_text='Answered: code that says why songs are few.', max_length=40),
        ),
        migrations.AddField(
            model_name='recommendationrequest',
            name='shown_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the answer was first shown to its owner.', null=True),
        ),
        migrations.AddField(
            model_name='song',
            name='editorial',
            field=models.BooleanField(default=False, help_text='One of those that are offered when no song fits a photo clearly.'),
        ),
        migrations.AddField(
            model_name='song',
            name='preview_length_ms',
            field=models.PositiveIntegerField(db_default=30000, default=30000, help_text='How long the preview is, in milliseconds; clips start within it.'),
        ),
        migrations.AlterField(
            model_name='song',
            name='synced_lyrics',
            field=models.TextField(blank=True, default='', help_text='LRC: lines such as [01:02.50]words. Gives the clip its start.', validators=[django.core.validators.MaxLengthValidator(200000)]),
        ),
        migrations.AlterField(
            model_name='song',
            name='lyrics',
            field=models.TextField(blank=True, default='', help_text='One sung line per line, a blank line between stanzas.', validators=[django.core.validators.MaxLengthValidator(100000)]),
        ),
        migrations.AddField(
            model_name='suggestion',
            name='origin',
            field=models.CharField(choices=[('match', 'Match'), ('exploration', 'Exploration'), ('pin', 'Pin'), ('editorial', 'Editorial'), ('popular', 'Popular'), ('nearest', 'Nearest')], default='match', max_length=11),
        ),
        migrations.AlterField(
            model_name='feedback',
            name='request',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='feedback', to='socialsongs.recommendationrequest'),
        ),
        migrations.AddIndex(
            model_name='feedback',
            index=models.Index(fields=['user', '-created_at'], name='socialsongs_feedback_taste'),
        ),
        migrations.AddIndex(
            model_name='song',
            index=models.Index(condition=models.Q(('editorial', True)), fields=['id'], name='socialsongs_song_editorial'),
        ),
        migrations.AddIndex(
            model_name='song',
            index=models.Index(condition=models.Q(('popularity__gt', 0.0)), fields=['-popularity'], name='socialsongs_song_popular'),
        ),
        migrations.AddField(
            model_name='rule',
            name='song',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='socialsongs.song'),
        ),
        migrations.AddField(
            model_name='taste',
            name='user',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='socialsongs_taste', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RemoveConstraint(
            model_name='feedback',
            name='socialsongs_feedback_once',
        ),
        migrations.AddConstraint(
            model_name='feedback',
            constraint=models.UniqueConstraint(fields=('request', 'song', 'kind', 'user', 'release'), name='socialsongs_feedback_once'),
        ),
    ]
