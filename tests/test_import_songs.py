"""A catalogue file into the catalogue."""

import json

import pytest
from django.core.management import CommandError, call_command

from socialsongs.models import Song, SongEmbedding

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path):
    def run(*rows, **options):
        file = tmp_path / "songs.jsonl"
        file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        call_command("import_songs", str(file), **options)

    return run


def row(title="Tide", **values):
    return {"id": title.lower(), "title": title, "artist": "Ferry", "lyrics": "The tide comes in", **values}


def test_it_creates_drafts_and_their_embedding_rows(run, release):
    run(row(), row("Ebb", themes=["ocean"], explicit=True, year=2001))
    assert set(Song.objects.values_list("title", "status")) == {("Tide", "draft"), ("Ebb", "draft")}
    ebb = Song.objects.get(title="Ebb")
    assert (ebb.themes, ebb.explicit, ebb.year, ebb.source, ebb.source_id) == (["ocean"], True, 2001, "songs", "ebb")
    assert SongEmbedding.objects.filter(release=release, state="queued").count() == 2


def test_it_publishes_on_demand(run):
    run(row(), publish=True)
    assert Song.objects.get().status == "published"


def test_a_second_import_updates_what_changed_and_keeps_the_status(run, release, capsys):
    run(row(), row("Ebb"))
    Song.objects.filter(title="Tide").update(status="published")
    SongEmbedding.objects.update(state="ready")
    run(row(lyrics="The tide goes out"), row("Ebb"))
    assert "0 songs created, 1 updated, 1 unchanged" in capsys.readouterr().out
    tide = Song.objects.get(title="Tide")
    assert (tide.lyrics, tide.status) == ("The tide goes out", "published")
    assert dict(SongEmbedding.objects.values_list("song__title", "state")) == {"Tide": "queued", "Ebb": "ready"}


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ("{not json", "Line 2 is not JSON"),
        ("[1]", "Line 2 is not a JSON object"),
        (row(title=""), "Line 2.*title"),
        (row("Ebb", year=3000), "Line 2.*year"),
        (row("Ebb", popularity=7), "Line 2.*popularity"),
        (row("Ebb", popularity=float("nan")), "Line 2 is not JSON: NaN"),
        (row("Ebb", lyrics="a\0b"), "Line 2 holds a null character"),
        (row("Ebb", id="x" * 101), "Line 2.*source_id"),
        (row("Tide"), "Line 2: the song of line 1 again"),
    ],
)
def test_one_bad_line_imports_nothing_and_is_named(run, bad, text):
    with pytest.raises(CommandError, match=text):
        run(row(), bad)
    assert not Song.objects.exists()


def test_it_needs_a_file_that_is_there(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.jsonl"):
        call_command("import_songs", str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(CommandError, match="--sample"):
        call_command("import_songs")


def test_the_sample_catalogue(release):
    """What ships: 300 songs or more, each complete, most of them evoking their theme, some explicit, some with LRC."""
    call_command("import_songs", sample=True)
    songs = Song.objects.all()
    assert songs.count() >= 300
    assert not songs.exclude(status="published", language="en").exists()
    for song in songs:
        assert 90 <= len(song.lyrics.split()) <= 260, song
        assert song.themes, song
        assert song.moods, song
        assert song.genre, song
        assert song.lyrics.count("\n\n") >= 2, song
    assert songs.filter(explicit=True).count() >= 10
    assert songs.exclude(synced_lyrics="").count() >= 40


def test_synced_lyrics_of_the_sample_hold_the_lines_in_order(release):
    from socialsongs.lrc import parse

    call_command("import_songs", sample=True)
    for song in Song.objects.exclude(synced_lyrics=""):
        assert [line for _, line in parse(song.synced_lyrics)] == [
            line.strip() for line in song.lyrics.split("\n") if line.strip()
        ], song
