"""The index of the search before 0010: gone in a moment, and not while others are built. Back, it is built anew."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("socialsongs", "0011_audio_previews")]

    operations = [migrations.RemoveIndex("song", "socialsongs_song_search_old")]
