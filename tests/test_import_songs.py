"""The import of a catalogue file."""

import gzip
import json

import pytest
from django.core.management import CommandError, call_command

from socialsongs.models import Song, SongEmbedding

from .languages import ENGLISH, FOREIGN

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path):
    def run(*rows, **options):
        file = tmp_path / "songs.jsonl"
        file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        call_command("import_songs", str(file), **options)

    return run


def row(title="Tide", **values):
    return {"id": str(title).lower(), "title": title, "artist": "Ferry", "lyrics": "The tide comes in", **values}


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
        (row("Ebb", lyrics="a\0b"), "Line 2 contains a null character"),
        (row("Ebb", id="x" * 101), "Line 2.*source_id"),
        (row("Tide"), "Line 2: the same song as in line 1"),
        *[
            (row("Ebb") | {key: value}, f"Line 2 .*{key}: ")
            for key, values in {
                "moods": ["happy", 5, [1, 2], {"a": 1}, [["calm"]], [None], ["x" * 41]],
                "themes": ["ocean", True],
                "markets": ["DE", ["D1"], ["JJJ"], [""], ["Germany"], ["XW"], ["ZZ"], ["QM"]],
                "lyrics": [[], {}, ["l1"], True, "x" * 100_001],
                "synced_lyrics": [["[00:01.00]l1"], "x" * 200_001],
                "title": [{"a": 1}, ["Ebb"], " ", False],
                "artist": ["\t"],
                "language": [[], ["en"], "xx", "english lyrics", "x-private", "001", 5],
                "isrc": ["US123", "US-S1Z-99-0000", "1234567890123", 5],
                "year": [[], "soon", True, 10**400],
                "popularity": ["nan", "much", "inf", [], 10**400],
                "explicit": ["perhaps", 5, []],
                "musicbrainz_id": ["x", 1.5, []],
                "id": [[], ["a"], {}, True],
            }.items()
            for value in values
        ],
        ('{"title": "Ebb", "artist": "Ferry", "year": 1e400}', "Line 2 .*year: "),
        ('{"title": "Ebb", "artist": "Ferry", "popularity": 1e400}', "Line 2 .*popularity: "),
        ('{"title": "Ebb", "artist": "Ferry", "title": "Flow"}', "Line 2 is not JSON: the key 'title' is there twice"),
        (r'{"title": "a\\\u0000", "artist": "Ferry"}', "Line 2 contains a null character"),
        (row("Ebb", genre="x" * 1_000_000), "Line 2 has more than 1000000 characters"),
    ],
)
def test_one_bad_line_imports_nothing_and_is_named(run, bad, text):
    with pytest.raises(CommandError, match=text):
        run(row(), bad)
    assert not Song.objects.exists()


def test_half_a_surrogate_pair_is_named(run):
    with pytest.raises(CommandError, match=r"Line 1 is not JSON.*surrogates not allowed"):
        run(r'{"title": "Ebb", "artist": "\ud83d", "lyrics": "The tide"}')
    run(row(lyrics="\N{WATER WAVE}"))
    assert Song.objects.get().lyrics == "\N{WATER WAVE}"


def test_what_is_no_text_but_means_one_is_taken(run):
    run(row(1984, year="1984", explicit="True", musicbrainz_id="F27EC8DB-AF05-4F36-916E-3D57F91ECF5E"))
    song = Song.objects.get()
    assert (song.title, song.year, song.explicit) == ("1984", 1984, True)
    assert str(song.musicbrainz_id) == "f27ec8db-af05-4f36-916e-3d57f91ecf5e"


def test_what_is_null_or_empty_counts_as_absent(run):
    absent = ["album", "lyrics", "year", "musicbrainz_id", "popularity", "moods", "markets", "language", "explicit"]
    run(row("Tide", **dict.fromkeys(absent, "")), row("Ebb", **dict.fromkeys(absent)))
    songs = Song.objects.all()
    assert len(songs) == 2
    for song in songs:
        assert (song.album, song.lyrics, song.year, song.musicbrainz_id) == ("", "", None, None)
        assert (song.popularity, song.moods, song.markets, song.language, song.explicit) == (0.0, [], [], "en", False)


def test_songs_are_stored_as_requests_name_them(run, release):
    run(row(" Tide\t", artist=" Ferry ", language="PT-br", markets=["de", "At"]))
    song = Song.objects.get()
    assert (song.title, song.artist, song.language, song.markets) == ("Tide", "Ferry", "pt-BR", ["DE", "AT"])
    assert (SongEmbedding.objects.get().language, SongEmbedding.objects.get().markets) == ("pt-BR", ["DE", "AT"])


def test_lyrics_are_measured_as_they_are_stored(run):
    run(row(lyrics="la \r\n" * 25_000))
    assert len(Song.objects.get().lyrics) == 74_999


def test_zero_is_an_id(run):
    run(row(id=0))
    assert Song.objects.get().source_id == "0"


def test_the_text_of_an_escape_is_no_null_character(run):
    run(row(lyrics=r"the code \u0000"))
    assert Song.objects.get().lyrics == r"the code \u0000"


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "marked.jsonl").write_text(json.dumps(row()), encoding="utf-8-sig")
    call_command("import_songs", str(tmp_path / "marked.jsonl"))
    assert Song.objects.get().title == "Tide"


def test_importing_the_same_file_again_touches_nothing(run, release, capsys):
    run(row(markets=["DE"], moods=["calm"], popularity=0.1, year=2001), row("Ebb"))
    before = list(Song.objects.order_by("pk").values()), list(SongEmbedding.objects.order_by("pk").values())
    run(row(markets=["DE"], moods=["calm"], popularity=0.1, year=2001), row("Ebb"))
    assert "0 songs created, 0 updated, 2 unchanged" in capsys.readouterr().out
    assert (list(Song.objects.order_by("pk").values()), list(SongEmbedding.objects.order_by("pk").values())) == before


def test_an_update_keeps_what_staff_have_set_on_a_song(run):
    run(row())
    made = Song.objects.get()
    Song.objects.update(editorial=True, status="retired", preview_file="previews/tide.mp3")
    run(row(album="Low"), publish=True)
    song = Song.objects.get()
    assert (song.pk, song.created_at) == (made.pk, made.created_at)
    assert (song.album, song.editorial, song.status) == ("Low", True, "retired")
    assert song.preview_file.name == "previews/tide.mp3"
    assert song.updated_at > made.updated_at


def test_the_same_id_of_another_source_is_another_song(run):
    run(row(), source="north")
    run(row(), source="south")
    assert set(Song.objects.values_list("source", "source_id")) == {("north", "tide"), ("south", "tide")}


def test_lyrics_are_normalised_and_come_from_the_synced_ones_where_there_are_no_others(run):
    synced = "[ar:Ferry]\n[00:01.00]The tide comes in \n[00:03.00]\n[00:04.00]The gulls go home"
    run(row(lyrics="Cafe\u0301  \r\n\r\n\r\n\r\nby the sea\x07"), row("Ebb", lyrics=None, synced_lyrics=synced))
    assert dict(Song.objects.values_list("title", "lyrics")) == {
        "Tide": "Caf\u00e9\n\nby the sea",
        "Ebb": "The tide comes in\n\nThe gulls go home",
    }


@pytest.mark.parametrize("code", ["es", "de", "pl", "ru", "ja", "zh", "ar", "hi"])
def test_where_no_language_is_named_the_lyrics_say_it(run, code, release):
    run(row(lyrics=FOREIGN[code]))
    assert Song.objects.get().language == code
    assert SongEmbedding.objects.get().language == code


@pytest.mark.parametrize("lyrics", ["", "La mer", "na na na hey\n" * 20, *ENGLISH.values()])
def test_a_language_that_cannot_be_guessed_is_taken_for_english(run, lyrics):
    run(row(lyrics=lyrics))
    assert Song.objects.get().language == "en"


def test_the_language_that_a_line_names_stands(run):
    run(row(lyrics=FOREIGN["es"], language="gl"))
    assert Song.objects.get().language == "gl"


def test_it_needs_a_file_that_is_there(tmp_path):
    with pytest.raises(CommandError, match=r"nowhere\.jsonl"):
        call_command("import_songs", str(tmp_path / "nowhere.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(row(), ensure_ascii=False).encode() + b"\nCaf\xe9")
    with pytest.raises(CommandError, match=r"Line 2 is not UTF-8 at its character 4"):
        call_command("import_songs", str(tmp_path / "latin.jsonl"))
    assert not Song.objects.exists()
    with pytest.raises(CommandError, match="--sample"):
        call_command("import_songs")


def test_the_sample_catalogue(release):
    """The sample catalogue has 300 songs or more, each complete, some explicit, some with LRC."""
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
    songs = Song.objects.exclude(synced_lyrics="")
    assert songs
    for song in songs:
        assert [line for _, line in parse(song.synced_lyrics)] == [
            line.strip() for line in song.lyrics.split("\n") if line.strip()
        ], song


# Codes


def test_codes_are_mapped_and_that_is_said(run, release, capsys):
    run(
        row("A", language="eng", markets=["UK", "gb", "DEU"]),
        row("B", language="English", markets=["826"]),
        row("C", language="en_us", markets=["xk"]),
        row("D", language="eng"),
    )
    found = {song.title: (song.language, song.markets) for song in Song.objects.all()}
    assert found == {"A": ("en", ["GB", "DE"]), "B": ("en", ["GB"]), "C": ("en-US", ["XK"]), "D": ("en", [])}
    said = capsys.readouterr().out
    assert "language: 'eng' is kept as 'en'. (2 songs, first in line 1)" in said
    assert "markets: 'UK' is kept as 'GB'. (1 songs, first in line 1)" in said
    assert "language: 'English' is kept as 'en'. (1 songs, first in line 2)" in said
    assert SongEmbedding.objects.filter(language="en", markets=["GB"]).count() == 1


@pytest.mark.parametrize(
    "isrc",
    ["US-S1Z-99-00001", "uss1z9900001", " US S1Z 99 00001 ", "ISRC US-S1Z-99-00001", "US\u2010S1Z\u201099\u201000001"],
)
def test_an_isrc_is_kept_without_hyphens(run, isrc):
    run(row(isrc=isrc))
    assert Song.objects.get().isrc == "USS1Z9900001"


def test_a_wrong_isrc_is_named_with_its_line(run):
    with pytest.raises(CommandError, match=r"Line 2 \('Ebb'\): isrc: 'US123' is no ISRC: two letters"):
        run(row(), row("Ebb", isrc="US123"))


def test_lyrics_without_stamps_among_the_synced_are_kept_and_said(run, capsys):
    run(row(lyrics=None, synced_lyrics="The tide\nthe gulls"))
    song = Song.objects.get()
    assert (song.lyrics, song.synced_lyrics) == ("The tide\nthe gulls", "")
    assert "synced_lyrics: they have no time stamps; they are kept as plain lyrics. (1 songs" in capsys.readouterr().out


# Bad lines

BAD = [
    ("{not json", "", "is not JSON"),
    (row("Ebb", year=3000), "year", "year: "),
    (row("Tide"), "id", "the same song as in line 1"),
    (row("Neap", isrc="US123"), "isrc", "is no ISRC"),
    ('{"title": "\udce9"}', "", "is not UTF-8"),
]


def test_bad_lines_are_skipped_and_listed(tmp_path, release, capsys):
    good = [row(), *(row(f"Good {number}") for number in range(3))]
    lines = [json.dumps(good[0]), *(bad if isinstance(bad, str) else json.dumps(bad) for bad, _, _ in BAD)]
    file, listed = tmp_path / "songs.jsonl", tmp_path / "bad.jsonl"
    file.write_text("\n".join([*lines, *map(json.dumps, good[1:])]), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CommandError, match="5 bad lines were skipped") as raised:
        call_command("import_songs", str(file), skip_bad=True, bad_lines=listed)
    assert raised.value.returncode == 3
    assert "4 songs created" in capsys.readouterr().out
    assert Song.objects.count() == SongEmbedding.objects.count() == 4
    found = [json.loads(line) for line in listed.read_text().splitlines()]
    assert [(one["line"], one["field"]) for one in found] == [(n, field) for n, (_, field, _) in enumerate(BAD, 2)]
    for one, (_, _, reason) in zip(found, BAD, strict=True):
        assert reason in one["reason"]
        assert f"Line {one['line']}" in str(raised.value)


def test_on_the_screen_the_list_is_bounded(run):
    with pytest.raises(CommandError, match="1000 bad lines") as raised:
        run(row(), *["{" for _ in range(1000)], skip_bad=True)
    assert len(str(raised.value).splitlines()) < 30
    assert "and 980 more: --bad-lines FILE lists all" in str(raised.value)
    assert Song.objects.count() == 1


def test_a_catalogue_is_not_overwritten_by_its_bad_lines(tmp_path, release):
    file = tmp_path / "songs.jsonl"
    file.write_text(json.dumps(row()))
    with pytest.raises(CommandError, match="Name another file"):
        call_command("import_songs", str(file), skip_bad=True, bad_lines=tmp_path / "." / "songs.jsonl")
    assert json.loads(file.read_text()) == row()


def test_no_bad_lines_is_no_failure(run, tmp_path):
    run(row(), skip_bad=True, bad_lines=tmp_path / "bad.jsonl")
    assert (tmp_path / "bad.jsonl").read_text() == ""
    with pytest.raises(CommandError, match="needs --skip-bad"):
        run(row(), bad_lines=tmp_path / "bad.jsonl")
    with pytest.raises(CommandError, match="nowhere"):
        run(row(), skip_bad=True, bad_lines=tmp_path / "nowhere" / "bad.jsonl")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_file_in_another_encoding_is_named_with_what_to_do(tmp_path, encoding, mark):
    file = tmp_path / "wide.jsonl"
    file.write_text(mark + json.dumps(row()), encoding=encoding)
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    for options in ({}, {"skip_bad": True}):
        with pytest.raises(CommandError, match=rf"is {name}, not UTF-8. Convert it: iconv -f {name} -t UTF-8"):
            call_command("import_songs", str(file), **options)


def test_a_compressed_file_and_latin_1_are_named_with_what_to_do(tmp_path):
    (tmp_path / "songs.jsonl.gz").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(CommandError, match="is compressed"):
        call_command("import_songs", str(tmp_path / "songs.jsonl.gz"))
    (tmp_path / "latin.jsonl").write_bytes('{"title": "Caf\u00e9"}'.encode("latin-1"))
    with pytest.raises(CommandError, match=r"Line 1 is not UTF-8.*iconv -f ISO-8859-1"):
        call_command("import_songs", str(tmp_path / "latin.jsonl"))


def test_a_file_that_is_not_there_is_named_once(tmp_path):
    missing = tmp_path / "songs.jsonl"
    with pytest.raises(CommandError) as refusal:
        call_command("import_songs", str(missing))
    assert str(refusal.value) == f"{missing} cannot be read: No such file or directory."
