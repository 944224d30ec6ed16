"""``python -m recommender rank``: a folder of photos and a JSON Lines catalogue in, a run file out."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from recommender.__main__ import main
from recommender.images import load_photo

ROOT = Path(__file__).resolve().parents[1]
LYRICS = {
    "tide": "The gulls go home\nThe tide comes in\n\nI count the masts\nTill you come in",
    "street": "Red light, green light\nRain on the street",
    "dance": "We dance all night and never go home",
    "snow": "Snow on the road\nSnow on the tree\nNo wind, no moon",
    "dog": "My dog don't love the water",
}


def song(id, lyrics="The tide comes in", **values):
    return {"id": id, "title": "Tide", "artist": "Ferry", "lyrics": lyrics, **values}


SONGS = [song(*item) for item in LYRICS.items()]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def two_photos(photos, photo_bytes):
    (photos / "slope.jpg").write_bytes(photo_bytes())
    Image.effect_noise((64, 48), 90).convert("RGB").save(photos / "noise.png")
    return photos


@pytest.fixture
def arguments(releases, tmp_path, photos):
    """Return a function that writes the catalogue, from rows or raw lines, and returns the command line."""

    def arguments(*songs, command="rank", **changes):
        catalogue = tmp_path / "songs.jsonl"
        catalogue.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in songs))
        options = {"photos": photos, "songs": catalogue, "out": tmp_path / "run.jsonl"}
        options |= {"release": "small", "releases": releases, **changes}
        return [command, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]

    return arguments


@pytest.fixture
def rank(arguments, tmp_path):
    def rank(*songs, code=0, **changes):
        assert main(arguments(*songs, **changes)) == code
        return [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().strip().split("\n")]

    return rank


@pytest.fixture
def refusal(arguments, capsys):
    def refusal(*songs, **changes):
        assert main(arguments(*songs, **changes)) == 2
        return capsys.readouterr().err

    return refusal


def test_each_photo_gets_all_songs_best_first(rank, two_photos, model):
    run = rank(*SONGS)
    assert [line["photo"] for line in run] == ["noise", "slope"]
    for line, name in zip(run, ("noise.png", "slope.jpg"), strict=True):
        view = model.analyse([load_photo(two_photos / name)])[0]
        relevance = dict(zip(LYRICS, model.relevance(view.embedding, model.encode(list(LYRICS.values()))), strict=True))
        assert line["songs"] == sorted(LYRICS, key=relevance.get, reverse=True)


def test_it_takes_jpg_jpeg_png_and_webp_and_leaves_other_files(rank, photos, photo_bytes):
    for name, format in {"a.jpg": "JPEG", "b.jpeg": "JPEG", "c.png": "PNG", "d.webp": "WEBP", "e.JPG": "JPEG"}.items():
        (photos / name).write_bytes(photo_bytes(format))
    (photos / "f.gif").write_bytes(photo_bytes("GIF"))
    (photos / "notes.txt").write_text("by the sea")
    (photos / "folder.jpg").mkdir()
    assert [line["photo"] for line in rank(*SONGS)] == list("abcde")


def test_a_photo_is_ranked_the_same_alone_and_among_others(rank, two_photos):
    noise, slope = rank(*SONGS)
    assert noise["songs"] != slope["songs"]
    (two_photos / "noise.png").unlink()
    assert rank(*SONGS) == [slope]


def test_two_runs_write_the_same_bytes(rank, two_photos, tmp_path):
    rank(*SONGS)
    first = (tmp_path / "run.jsonl").read_bytes()
    rank(*SONGS)
    assert (tmp_path / "run.jsonl").read_bytes() == first


def test_songs_without_lyrics_come_last(rank, two_photos):
    for line in rank(song("c", ""), song("a", None), song("b", "?!\n...\n"), *SONGS):
        assert set(line["songs"][:-3]) == set(LYRICS)
        assert line["songs"][-3:] == ["a", "b", "c"]


def test_a_catalogue_without_any_lyrics_is_ranked_by_id(rank, two_photos):
    assert [line["songs"] for line in rank(song("b", ""), song("a", ""))] == [["a", "b"]] * 2


@pytest.mark.parametrize("command", ["rank", "bm25"])
def test_equal_scores_are_ordered_by_id(rank, two_photos, command):
    same = "Every morning by the water"
    for line in rank(song("c", same), song(10, same), song("a", same), song(9, same), command=command):
        assert line["songs"] == ["10", "9", "a", "c"]


def test_an_unreadable_photo_is_named_and_the_rest_is_ranked(rank, two_photos, photo_bytes, capsys):
    (two_photos / "cut.jpg").write_bytes(photo_bytes()[:900])
    (two_photos / "text.png").write_text("no photo")
    (two_photos / "void.webp").touch()
    assert [line["photo"] for line in rank(*SONGS, code=1)] == ["noise", "slope"]
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        str(two_photos / x) for x in ("cut.jpg", "text.png", "void.webp")
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (song("a"), "the id 'a' occurs twice"),
        ('{"id": "b",', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"id": "b", "title": "Tide", "lyrics": ""}, "'artist' is missing"),
        (["b", "Tide", "Ferry", ""], "must be a JSON object"),
        (song(None), "'id' must be"),
        (song("b", ["The tide"]), "'lyrics' must be"),
    ],
    ids=["same id", "broken", "deep", "no artist", "list", "no id", "lyrics in a list"],
)
def test_a_wrong_row_is_refused_with_its_line(refusal, two_photos, row, problem):
    said = refusal(song("a"), "", row)
    assert "songs.jsonl, line 3: " in said
    assert problem in said


def test_a_number_and_its_text_are_the_same_id(refusal, two_photos):
    assert "line 2: the id '7' occurs twice" in refusal(song(7), song("7"))


def test_an_empty_catalogue_is_refused(refusal, two_photos):
    assert "songs.jsonl: there are no songs" in refusal("", "")


def test_a_catalogue_that_is_not_there_is_refused(refusal, two_photos, tmp_path):
    assert "elsewhere.jsonl" in refusal(songs=tmp_path / "elsewhere.jsonl")


def test_photos_of_the_same_stem_are_refused(refusal, two_photos, photo_bytes):
    (two_photos / "slope.png").write_bytes(photo_bytes("PNG"))
    said = refusal(*SONGS)
    assert "slope.jpg and slope.png" in said
    assert "same name" in said


def test_a_folder_that_is_not_there_is_refused(refusal, tmp_path):
    assert f"{tmp_path / 'elsewhere'} is not a folder" in refusal(*SONGS, photos=tmp_path / "elsewhere")


def test_a_folder_without_photos_is_refused(refusal, photos):
    (photos / "notes.txt").touch()
    assert f"{photos} has no photo" in refusal(*SONGS)


def test_an_unknown_release_is_refused_with_the_known_ones(refusal, two_photos):
    said = refusal(*SONGS, release="large")
    assert "'large'" in said
    assert "known releases: small" in said


def test_a_run_file_that_cannot_be_written_is_refused(refusal, two_photos, tmp_path):
    assert "nowhere" in refusal(*SONGS, out=tmp_path / "nowhere" / "run.jsonl")


def test_strange_lyrics_are_ranked(rank, two_photos):
    strange = {
        "one word": "Tide",
        "long line": "tide " * 6000,
        "many lines": "tide\n" * 6000,
        "long word": "la" * 6000,
        "control": "The\x00 tide\x07 comes\x1b[2J in\x0b\x85\u2028again",
        "half a pair": "tide \ud83c",
        "emoji": "🌊🌊🌊 sea 👩‍👩‍👧",
        "right to left": "שלום עולם\nمرحبا بالعالم\u202e",
        "crlf": "The gulls go home\r\nThe tide comes in\r\n",
        "accents": "Cafe\u0301 ﬁre ＷＩＤＥ",
        "punctuation": "... !? -- ''' ___",
    }
    for line in rank(*(song(*item) for item in strange.items())):
        assert sorted(line["songs"]) == sorted(strange)
        assert set(line["songs"][-2:]) == {"punctuation", "right to left"}  # no words; no English


def test_strange_ids_survive(rank, two_photos):
    ids = ['"\n\\', "🌊", "\ud83c", "\u2028", " "]
    for line in rank(*map(song, ids)):
        assert sorted(line["songs"]) == sorted(ids)


def test_strange_photos_are_ranked(rank, photos, photo_bytes):
    (photos / "pixel.png").write_bytes(photo_bytes("PNG", (1, 1)))
    (photos / "panorama.jpg").write_bytes(photo_bytes(size=(4000, 10)))
    (photos / "grey.jpg").write_bytes(photo_bytes(mode="L"))
    (photos / "cmyk.jpg").write_bytes(photo_bytes(mode="CMYK"))
    (photos / "palette.png").write_bytes(photo_bytes("PNG", mode="P", transparency=7))
    (photos / "see-through.webp").write_bytes(photo_bytes("WEBP", mode="RGBA"))
    (photos / "sixteen.png").write_bytes(photo_bytes("PNG", mode="I;16"))
    (photos / "two tones.png").write_bytes(photo_bytes("PNG", mode="1"))
    Image.new("RGB", (64, 64)).save(photos / "black.jpg")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "teal", "white")]
    frames[0].save(photos / "animated.webp", save_all=True, append_images=frames[1:])
    run = rank(*SONGS)
    assert [line["photo"] for line in run] == sorted(path.stem for path in photos.iterdir())
    assert all(sorted(line["songs"]) == sorted(LYRICS) for line in run)


def test_a_photo_of_16_bits_keeps_its_greys(photo_bytes):
    eight = Image.open(BytesIO(photo_bytes("PNG", mode="L")))
    sixteen = BytesIO()
    Image.frombytes("I;16", eight.size, bytes(b for grey in eight.tobytes() for b in (grey, grey))).save(sixteen, "PNG")
    assert load_photo(sixteen).tobytes() == eight.convert("RGB").tobytes()


def test_it_runs_as_a_program_without_django_and_celery(arguments, two_photos, tmp_path):
    program = [sys.executable, "-X", "importtime", "-m", "recommender"]
    done = subprocess.run(
        [*program, *arguments(*SONGS)],
        cwd=ROOT,
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"recommender", "torch"} <= imported
    assert not {"django", "celery", "rest_framework", "socialsongs", "workers"} & imported
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 2
