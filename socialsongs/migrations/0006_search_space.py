"""Vectors that are searched by get one number more and another meaning, which takes the model: songs are read again by
the workers, photos when they are next asked for. Line states are kept as they are, since they do not compress."""

import pgvector.django
from django.db import migrations, models

FORGET = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexrelid::regclass::text FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relname LIKE 'socialsongs\\_hnsw\\_%' OR relname LIKE 'socialsongs\\_photos\\_hnsw\\_%'
    LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
END $$;
UPDATE socialsongs_songembedding
SET state = 'queued', reason = '', attempts = 0, queued_at = now(), finished_at = NULL, lease_token = NULL,
    lease_expires_at = NULL, stage_one = NULL
WHERE stage_one IS NOT NULL;
UPDATE socialsongs_photoanalysis SET direction = NULL WHERE direction IS NOT NULL;
-- The triggers of these rows must have run before their tables are altered.
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0005_packed_states")]

    operations = [
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
        migrations.RemoveField("modelrelease", "song_mean"),
        migrations.AlterField(
            "songembedding", "stage_one", pgvector.django.HalfVectorField(blank=True, dimensions=129, null=True)
        ),
        migrations.AlterField(
            "photoanalysis",
            "direction",
            pgvector.django.HalfVectorField(blank=True, dimensions=129, editable=False, null=True),
        ),
        migrations.RemoveIndex("songembedding", "socialsongs_embedding_filter"),
        migrations.AddIndex(
            "songembedding",
            models.Index(
                fields=["release", "genre"],
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
        migrations.RunSQL(migrations.RunSQL.noop, FORGET),
    ]
