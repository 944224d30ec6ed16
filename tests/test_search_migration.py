"""The search's functions and indexes come and go with their migration, and existing rows are found."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from socialsongs.models import Song, SongEmbedding
from socialsongs.selectors.search import search_songs


def has(relation):
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [relation])
        return cursor.fetchone()[0]


def functions():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname LIKE 'socialsongs%'")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_forth_and_back_with_songs(release, make_song):
    first, second = make_song("Sécond Harbour"), make_song("Other")
    line_offsets = SongEmbedding.objects.filter(release=release)
    line_offsets.update(line_offsets=[0, 1], stage_one=[0.5] * 129)
    line_offsets.filter(song=first).update(state="ready")
    try:
        call_command("migrate", "socialsongs", "0009", verbosity=0)
        assert (functions(), has("socialsongs_song_names"), has("socialsongs_song_search")) == (0, False, True)
        with CaptureQueriesContext(connection) as queries:
            call_command("migrate", "socialsongs", "0010", verbosity=0)
        # Songs can be read while the indexes are built.
        building = " ".join(query["sql"] for query in queries if "INDEX" in query["sql"])
        assert building.count("CREATE INDEX") >= 4
        assert "DROP INDEX" not in building
    finally:
        call_command("migrate", "socialsongs", verbosity=0)
    assert functions() == 5
    assert not has("socialsongs_song_search_old")
    assert [hit.pk for hit in search_songs(songs=Song.objects.all(), text="second")] == [first.pk]
    # Songs that were edited and not encoded again before the migration show no line.
    assert dict(line_offsets.values_list("song", "line_offsets")) == {first.pk: [0, 1], second.pk: []}


@pytest.mark.django_db
def test_every_kind_of_match_is_found_by_an_index():
    Song.objects.bulk_create(
        Song(title=f"Title {number}", artist=f"Artist {number}", lyrics=f"line {number}", status="published")
        for number in range(2000)
    )
    with CaptureQueriesContext(connection) as queries:
        search_songs(songs=Song.objects.filter(status="published"), text="title 1234")
    (union,) = [query["sql"] for query in queries if "UNION" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE socialsongs_song")
        cursor.execute("EXPLAIN " + union)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    for name in ("title_key", "artist_key", "names", "search"):
        assert f"on socialsongs_song_{name}" in plan, plan
