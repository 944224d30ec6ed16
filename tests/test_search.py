"""GET /api/v1/songs?q= and the admin's search: matches and their order."""

import json
from base64 import b64encode
from urllib.parse import urlencode

import pytest

from socialsongs.models import Song

pytestmark = pytest.mark.django_db
URL = "/api/v1/songs"
NAMES = [
    "AD/HC",
    "brink-181",
    "N.W.B",
    "R.E.N.",
    "K!nk",
    "60 Cent",
    "odd-J",
    "t.E.T.u.",
    "!!!",
    "?",
    "Ginz N' Posies",
    "Hill&Oats",
    "thirty|two",
    "รักกัน",
    "שָׁבוּעַ",
    "Hạ Long",
    "Ms.Kitty",
    "No.6",
    "z_y",
    "e-mail@you.now",
    "C++",
    "C#",
    "C",
    "L/DA",
    "1-900-273",
    "8/12",
    "हिन्दी",
    "தமிழ்",
    "さくら船",
    "Ａｂｄ Fullwidth",
    "ﬁre ligature",
    "Zoé Ångstrøm",
    "Dvořák",
    "Čapek",
    "Ёлка",
    "Σίσυφος",
    "ИВАН",
    "Straße",
    "Ⅷ",
    "100%",
    "A_B",
    "♥",
    "$$$",
    "ʻOkina",
    "عَرَبِيّ",
    "D'Angela",
    "...",
    "50%",
    "\\",
    "'",
]


@pytest.fixture
def find(api_of, alice):
    api = api_of(alice)

    def find(text, **query):
        answer = api.get(URL, {"q": text, **query})
        assert answer.status_code == 200, answer.content
        return answer.json()["results"]

    return find


@pytest.fixture
def artists(find):
    return lambda text: [song["artist"] for song in find(text)]


@pytest.fixture
def named(make_song):
    """Make songs by artists of these names, and others whose lyrics hold the names often."""
    for number, name in enumerate(NAMES):
        make_song(f"Namesake {number}", artist=name, lyrics="Over the sea")
    make_song("All of them", artist="Various", lyrics="\n".join(NAMES) + "\nC N W B R E N 8 12 t E T u")


def test_an_exact_name_comes_first(named, artists):
    found = {name: artists(name) for name in NAMES}
    assert {name: songs[:1] for name, songs in found.items()} == {name: [name] for name in NAMES}
    assert not [name for name, songs in found.items() if len(songs) > len(set(songs))]


def test_a_name_is_found_however_it_is_written(named, artists):
    written = [
        ("adhc", "AD/HC"),
        ("ad hc", "AD/HC"),
        ("BRINK 181", "brink-181"),
        ("nwb", "N.W.B"),
        ("ren", "R.E.N."),
        ("ha long", "Hạ Long"),
        ("HẠ LONG", "Hạ Long"),
        ("zoe angstrom", "Zoé Ångstrøm"),
        ("dvorak", "Dvořák"),
        ("елка", "Ёлка"),
        ("σισυφοσ", "Σίσυφος"),
        ("иван", "ИВАН"),
        ("STRASSE", "Straße"),
        ("viii", "Ⅷ"),
        ("fire lig", "ﬁre ligature"),
        ("abd", "Ａｂｄ Fullwidth"),
        ("ＺＯＥ", "Zoé Ångstrøm"),
        ("שבוע", "שָׁבוּעַ"),
        ("عربي", "عَرَبِيّ"),
        ("dangela", "D'Angela"),
        ("D\u2019Angela", "D'Angela"),
        ("okina", "ʻOkina"),
        ("船", "さくら船"),
        ("ginz n posies", "Ginz N' Posies"),
        ("हिन्", "हिन्दी"),
        ("Dvor\u030ca\u0301k", "Dvořák"),
        ("capek", "Čapek"),
        ("hill & oats", "Hill&Oats"),
        ("emailyou", "e-mail@you.now"),
    ]
    assert [(text, *artists(text)[:1]) for text, _ in written] == written


def test_without_a_letter_or_digit_it_is_taken_literally(named, artists):
    expected = {
        "!!!": {"!!!"},
        "!!": {"!!!"},
        "%": set(),
        "_": set(),
        "?": {"?"},
        "???": set(),
        "$": {"$$$"},
        "*": set(),
        "\\": {"\\"},
        "♥": {"♥"},
        "'": {"'"},
        "&": set(),
        "<>": set(),
    }
    assert {text: set(artists(text)) for text in expected} == expected


def test_the_kind_of_match_decides_the_order(make_song, find):
    make_song("Z Tide", lyrics="dust")  # holds the word
    make_song("Tides", lyrics="dust")  # begins so
    make_song("Harbour", lyrics="tide")  # sings it
    make_song("Neap", artist="TIDE", lyrics="dust")
    make_song("Tide", lyrics="dust")
    make_song("Nothing", lyrics="dust")
    assert [song["title"] for song in find("tide")] == ["Neap", "Tide", "Tides", "Z Tide", "Harbour"]


def test_a_name_and_a_title_together_and_words_anywhere(make_song, find):
    make_song("Harbour Lights", artist="Zoé Ångstrøm", lyrics="gulls go home")
    make_song("Other", artist="Nobody", lyrics="dust")
    for text in ("harbour angstrom", "zoe harb", "light gull", "gulls go", "Harbour Lights Zoé Ångstrøm"):
        assert [song["title"] for song in find(text)] == ["Harbour Lights"], text
    assert find("harbour dust") == []


def test_it_filters(make_song, find):
    make_song("Tide", genre="folk")
    make_song("Tides", genre="pop", explicit=True, language="de")
    make_song("Tidal", status="draft")
    assert [song["title"] for song in find("tid")] == ["Tide", "Tides"]
    assert [song["title"] for song in find("tid", genre="pop")] == ["Tides"]
    assert [song["title"] for song in find("tid", language="ger")] == ["Tides"]
    assert [song["title"] for song in find("tid", explicit="false")] == ["Tide"]


def test_a_blank_search_lists_all_songs(make_song, find):
    make_song("B")
    make_song("A")
    assert [song["title"] for song in find("  ")] == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 500,
        "'; drop",
        "a & | ! ( ) <-> b:*",
        "\\'",
        "%s %(x)s",
        "\u200b",
        "\ufffd",
        "\U0001f44d",
        "a\u0301" * 250,
        "ﷺ" * 200,
        ":*",
        "''",
        "\x01",
        "e\u0301 \x7f",
    ],
)
def test_any_text_can_be_searched_for(make_song, find, text):
    make_song()
    find(text)


def test_every_writer_is_found(make_song, find, tmp_path):
    from django.core.management import call_command

    song = make_song("First")
    Song.objects.filter(pk=song.pk).update(title="Sécond")
    assert find("first") == []
    assert find("second")
    song.title = "Thírd"
    song.save()
    assert find("third")
    Song.objects.bulk_create([Song(title="Fóurth", artist="X", status="published")])
    assert find("fourth")
    (tmp_path / "songs.jsonl").write_text(json.dumps({"title": "Fífth", "artist": "X"}))
    call_command("import_songs", str(tmp_path / "songs.jsonl"), publish=True)
    assert find("fifth")


# Pages


@pytest.fixture
def many(make_song):
    for number in range(7):
        make_song(f"Tide {number}")
    for _ in range(4):
        make_song("Same", lyrics="tide")


def pages(api, url):
    """Return all pages by ``next``, then all by ``previous``."""
    forth, back = [], []
    answer = api.get(url).json()
    while True:
        forth.append([song["id"] for song in answer["results"]])
        if not answer["next"]:
            break
        answer = api.get(answer["next"]).json()
    while answer["previous"]:
        answer = api.get(answer["previous"]).json()
        back.append([song["id"] for song in answer["results"]])
    return forth, back


@pytest.mark.parametrize("size", [1, 3, 5, 11, 50])
def test_pages_hold_every_song_once_in_order_forth_and_back(api_of, alice, many, size):
    api = api_of(alice)
    forth, back = pages(api, f"{URL}?q=tide&page_size={size}")
    every = [song["id"] for song in api.get(URL, {"q": "tide", "page_size": 50}).json()["results"]]
    assert [song for page in forth for song in page] == every
    assert len(every) == 11
    assert [song for page in reversed(back) for song in page] == [song for page in forth[:-1] for song in page]


def test_songs_that_come_and_go_between_pages_shift_nothing(api_of, alice, many, make_song):
    api = api_of(alice)
    first = api.get(URL, {"q": "tide", "page_size": 3}).json()
    Song.objects.filter(pk=first["results"][-1]["id"]).delete()
    make_song("Tide 00")
    second = api.get(first["next"]).json()
    assert [song["title"] for song in second["results"]] == ["Tide 3", "Tide 4", "Tide 5"]


def cursor(position):
    return b64encode(urlencode({"p": position}).encode()).decode()


@pytest.mark.parametrize(
    "position",
    [
        "Tide 3",
        "[]",
        "[1]",
        "{}",
        "null",
        "[0, 5, 6]",
        '["x", "y", "z"]',
        '[0, "a", "b"]',
        "[" * 2000,
        '[NaN, [1], "x"]',
        "[1e999, {}, 5]",
        "\0",
        "[0, null, null]",
    ],
)
def test_a_made_up_cursor_is_not_found(api_of, alice, many, position):
    answer = api_of(alice).get(URL, {"q": "tide", "cursor": cursor(position)})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("rank", ["NaN", "Infinity", "-1", "1e308", "true", '"2"'])
def test_an_odd_rank_in_a_cursor_is_a_place_in_the_order(api_of, alice, many, rank):
    position = f'[{rank}, "Tide", "6f2ee6a4-4b4e-4f7e-8b3f-000000000000"]'
    assert api_of(alice).get(URL, {"q": "tide", "cursor": cursor(position)}).status_code == 200
    assert api_of(alice).get(URL, {"cursor": cursor(position)}).status_code == 200


# The admin


def test_the_admin_shows_the_best_first_unless_it_is_sorted(client, staff, make_song):
    make_song("Neap", artist="Tide")
    make_song("Harbour", lyrics="tide", isrc="GBAYE0601498")
    client.force_login(staff)

    def titles(**query):
        return [song.title for song in client.get("/admin/socialsongs/song/", query).context["cl"].result_list]

    assert titles(q="tide") == ["Neap", "Harbour"]
    assert titles(q="tide", o="1") == ["Harbour", "Neap"]
    assert titles(q="GB-AYE-06-01498") == ["Harbour"]
    assert titles(q="nothing") == titles(q="!!!") == []
    assert len(titles(q="")) == 2
