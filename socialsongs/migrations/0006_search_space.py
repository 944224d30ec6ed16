"""Vectors that are searched by get one number more and another meaning, which takes the model: the workers read all
songs again, and after them look again at the photos of posts, in the bulk lane. Line states are kept as they are, since
they do not compress."""

import pgvector.django
from django.db import migrations, models

ANEW = (
    "state = 'queued', reason = '', attempts = 0, queued_at = now(), delayed_since = NULL, finished_at = NULL, "
    "lease_token = NULL, lease_expires_at = NULL"
)
AGAIN = f"""
UPDATE socialsongs_songembedding SET {ANEW} WHERE stage_one IS NOT NULL;
UPDATE socialsongs_recommendationrequest AS request SET {ANEW}, bulk = true
FROM socialsongs_post AS post
WHERE post.id = request.post_id AND post.state = 'ready' AND request.state = 'ready' AND request.is_default;
UPDATE socialsongs_modelrelease SET share = 0 WHERE share > 0;
-- The triggers of these rows must have run before their tables are altered.
SET CONSTRAINTS ALL IMMEDIATE;
"""


def searched_by(**options):
    return pgvector.django.HalfVectorField(blank=True, dimensions=129, null=True, **options)


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0005_packed_states")]

    operations = [
        migrations.RunSQL(AGAIN, migrations.RunSQL.noop),
        migrations.RemoveIndex("songembedding", "socialsongs_embedding_filter"),
        migrations.RemoveField("modelrelease", "song_mean"),
        # Anew and not altered, which would write all rows again; with the columns go their HNSW indexes.
        migrations.RemoveField("songembedding", "stage_one"),
        migrations.AddField("songembedding", "stage_one", searched_by()),
        migrations.RemoveField("photoanalysis", "direction"),
        migrations.AddField("photoanalysis", "direction", searched_by(editable=False)),
        migrations.AddIndex(
            "songembedding",
            models.Index(
                fields=["release", "genre"],
                include=["id", "song", "language", "explicit", "markets", "stage_one"],
                condition=models.Q(status="published"),
                name="socialsongs_embedding_genre",
            ),
        ),
        migrations.AddIndex(
            "songembedding",
            models.Index(
                fields=["release", "language"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                condition=models.Q(status="published"),
                name="socialsongs_embedding_language",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE socialsongs_songembedding ALTER COLUMN line_states SET STORAGE EXTERNAL",
            "ALTER TABLE socialsongs_songembedding ALTER COLUMN line_states SET STORAGE EXTENDED",
        ),
        migrations.RunSQL(migrations.RunSQL.noop, AGAIN),
    ]
