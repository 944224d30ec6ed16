"""Where in the search space a song lies. Songs that were read before have no cell until they are read again: they come
last when embeddings are clustered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0006_search_space")]

    operations = [
        migrations.AddField("songembedding", "cell", models.IntegerField(editable=False, null=True)),
    ]
