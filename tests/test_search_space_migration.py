"""Rows of an older version lose the vectors that mean something else now, and are read again; nothing else is lost."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from socialsongs.models import SongEmbedding, State


def migrate(name):
    call_command("migrate", "socialsongs", name, verbosity=0)


def is_read(numbers):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE socialsongs_songembedding SET state = 'ready', attempts = 2, stage_one = %s, line_states = 'some' "
            "FROM socialsongs_song AS song WHERE song.id = song_id AND title = 'Read'",
            [str([0.1] * numbers)],
        )


@pytest.mark.django_db(transaction=True)
def test_songs_are_read_again_forth_and_back(release, make_song):
    make_song("Read")
    make_song("Nothing to read")
    SongEmbedding.objects.filter(song__title="Nothing to read").update(state=State.READY, reason="no_lyrics")
    try:
        for numbers, name in ((129, "0005"), (128, "0006")):
            is_read(numbers)
            call_command("releases", "index", release.name, stdout=StringIO())
            migrate(name)
            nothing, read = SongEmbedding.objects.order_by("song__title")
            assert (read.state, read.attempts, read.stage_one) == (State.QUEUED, 0, None)
            assert bytes(read.line_states) == b"some"
            assert (nothing.state, nothing.reason) == (State.READY, "no_lyrics")
    finally:
        migrate("0006")
