"""The migration drops vectors of the older search space and queues their rows again; nothing else is lost."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from socialsongs.models import ModelRelease, PhotoAnalysis, SongEmbedding, State, Suggestion
from socialsongs.services.releases import register


def migrate(name):
    call_command("migrate", "socialsongs", name, verbosity=0)


def execute(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() if cursor.description else None


def as_it_was(numbers):
    """Make encoded songs, analysed photos, answered posts, and a split second release."""
    vector = str([0.1] * numbers)
    execute(
        "UPDATE socialsongs_songembedding SET state = 'ready', attempts = 2, stage_one = %s, line_states = 'some' "
        "FROM socialsongs_song AS song WHERE song.id = song_id AND title <> 'Nothing to read'",
        vector,
    )
    execute("UPDATE socialsongs_photoanalysis SET direction = %s", vector)
    execute("UPDATE socialsongs_recommendationrequest SET state = 'ready', bulk = false")
    execute("UPDATE socialsongs_modelrelease SET share = 10 WHERE state = 'staged'")


@pytest.mark.django_db(transaction=True)
def test_songs_are_encoded_and_photos_analysed_again_forth_and_back(release, ready_post, make_song):
    song = make_song("Nothing to read")
    SongEmbedding.objects.filter(song=song).update(state=State.READY, reason="no_lyrics")
    register(name="newer", sha256="1" * 64, card={})
    index = f"socialsongs_hnsw_{release.pk}"
    try:
        for numbers, name in ((129, "0005"), (128, "0006")):
            as_it_was(numbers)
            call_command("releases", "index", release.name, stdout=StringIO())
            assert execute("SELECT to_regclass(%s)", index) == (index,)
            migrate(name)
            assert execute("SELECT to_regclass(%s)", index) == (None,)
            read = SongEmbedding.objects.exclude(song=song)
            assert set(read.values_list("state", "attempts", "stage_one")) == {(State.QUEUED, 0, None)}
            assert {bytes(states) for states in read.values_list("line_states", flat=True)} == {b"some"}
            nothing = SongEmbedding.objects.filter(song=song, release=release)
            assert nothing.values_list("state", "reason").get() == (State.READY, "no_lyrics")
            assert set(PhotoAnalysis.objects.values_list("direction", flat=True)) == {None}
            request, state, bulk = ready_post.requests.values_list("pk", "state", "bulk").get()
            assert (state, bulk) == (State.QUEUED, True)
            assert Suggestion.objects.filter(request=request).exists()
            assert not ModelRelease.objects.filter(share__gt=0).exists()
    finally:
        call_command("migrate", "socialsongs", verbosity=0)
