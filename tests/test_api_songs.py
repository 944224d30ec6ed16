"""GET /api/v1/songs: the published catalogue."""

import pytest

from .clips import keep
from .test_api_posts import problem

pytestmark = pytest.mark.django_db
URL = "/api/v1/songs"


def titles(response):
    return [song["title"] for song in response.json()["results"]]


def test_it_lists_published_songs_by_title(api_of, alice, make_song):
    for title, status in (("B", "published"), ("A", "published"), ("C", "draft"), ("D", "retired")):
        make_song(title, status=status)
    assert titles(api_of(alice).get(URL)) == ["A", "B"]


def test_it_pages(api_of, alice, make_song):
    for title in "ABC":
        make_song(title)
    page = api_of(alice).get(URL, {"page_size": 2})
    assert titles(page) == ["A", "B"]
    assert titles(api_of(alice).get(page.json()["next"])) == ["C"]


@pytest.mark.parametrize("text", ["ferry", "FERR", "gulls home", "harb light", "harbour'; drop"])
def test_it_searches_title_artist_and_lyrics_by_beginnings_of_words(api_of, alice, make_song, text):
    make_song()
    make_song("Desert Road", artist="Nobody", lyrics="Dust")
    expected = [] if "drop" in text else ["Harbour Lights"]
    assert titles(api_of(alice).get(URL, {"q": text})) == expected


def test_it_filters(api_of, alice, make_song):
    make_song("Clean", genre="folk")
    make_song("Dirty", explicit=True, genre="punk", language="de")
    assert titles(api_of(alice).get(URL, {"explicit": "false"})) == ["Clean"]
    assert titles(api_of(alice).get(URL, {"genre": "punk"})) == ["Dirty"]
    assert titles(api_of(alice).get(URL, {"language": "de"})) == ["Dirty"]


def test_a_song_has_its_lyrics(api_of, alice, make_song):
    song = make_song()
    assert api_of(alice).get(f"{URL}/{song.pk}").json()["lyrics"] == song.lyrics


def test_songs_that_are_not_published_do_not_exist(api_of, alice, make_song):
    problem(api_of(alice).get(f"{URL}/{make_song(status='draft').pk}"), 404, "not_found")


def test_the_preview_is_a_file_or_an_address(api_of, alice, make_song):
    song = make_song(preview_url="https://example.org/a.mp3")
    api = api_of(alice)
    assert api.get(f"{URL}/{song.pk}").json()["preview_url"] == "https://example.org/a.mp3"
    problem(api.get(f"{URL}/{song.pk}/preview"), 404, "not_found")
    keep(song, "a.mp3", b"sound")
    url = api.get(f"{URL}/{song.pk}").json()["preview_url"]
    assert url.endswith(f"{URL}/{song.pk}/preview")
    assert b"".join(api.get(url).streaming_content) == b"sound"


def test_it_asks_for_a_login(api_of):
    problem(api_of(None).get(URL), 401, "not_authenticated")


@pytest.mark.parametrize("query", ["genre=%00", "language=a%00", "q=%00"])
def test_a_null_character_in_a_query_is_invalid(alice, api_of, query):
    errors = problem(api_of(alice).get(f"{URL}?{query}"), 400, "invalid")["errors"]
    assert list(errors) == [query.partition("=")[0]]


def test_a_cursor_with_a_null_character_is_not_found(alice, api_of):
    problem(api_of(alice).get(f"{URL}?cursor=cD0lMDA="), 404, "not_found")  # p=%00


@pytest.mark.parametrize("cursor", ["cD1ub3RhZGF0ZQ==", "nonsense", "cD0yMDI2LTEzLTQx"])
def test_a_made_up_cursor_is_not_found(alice, api_of, cursor):
    answer = api_of(alice).get(f"/api/v1/posts?cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("language", ["en", "eng", "EN", "English"])
def test_a_language_has_one_code(api_of, alice, make_song, language):
    make_song("Clean")
    make_song("Sauber", language="ger")
    assert titles(api_of(alice).get(URL, {"language": language})) == ["Clean"]


def test_an_unknown_language_is_named_in_the_error(api_of, alice):
    assert "xx" in problem(api_of(alice).get(URL, {"language": "xx"}), 400, "invalid")["errors"]["language"][0]


def test_a_cursor_of_somebody_else_shows_no_post_of_theirs(alice, bob, api_of, upload):
    for owner in (alice, bob, alice, bob):
        assert api_of(owner).post("/api/v1/posts", {"photos": upload()}).status_code == 202
    hers = api_of(alice).get("/api/v1/posts?page_size=1").json()
    found = api_of(bob).get(hers["next"]).json()
    his = {post["id"] for post in api_of(bob).get("/api/v1/posts").json()["results"]}
    assert {post["id"] for post in found["results"]} <= his
    assert found["results"]
    assert hers["results"][0]["id"] not in hers["next"]
