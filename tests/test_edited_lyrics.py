"""The line that a post shows when the lyrics were edited after the song was suggested."""

import pytest

from socialsongs.services.catalogue import save_song

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(alice, api_of, ready_post):
    """Return a function that edits the first song's lyrics and returns its line from the API."""

    def line(lyrics):
        song = ready_post.requests.get().suggestions.get(rank=1).song
        song.lyrics = lyrics
        save_song(song=song)
        return api_of(alice).get(f"/api/v1/posts/{ready_post.pk}").json()["suggestions"][0]["line"]

    return line


def test_a_line_that_moved_is_shown_where_it_is_now(line):
    assert line("I count the masts\n\nOh\nthe tide comes in!\nTill you come in") == {
        "text": "the tide comes in!",
        "place": 3,
        "before": ["I count the masts", "Oh"],
        "after": ["Till you come in"],
    }


@pytest.mark.parametrize(
    ("lyrics", "nearest"),
    [
        ("The tide comes in\nOh\nNo\nThe tide comes in", 0),
        ("Oh\nNo\nThe tide comes in\nOh\nThe tide comes in", 2),
        ("The tide comes in\nThe tide comes in\nThe tide comes in", 1),
    ],
)
def test_of_several_equal_lines_the_nearest_to_the_old_place_is_shown(line, lyrics, nearest):
    assert line(lyrics)["place"] == nearest


def test_a_line_that_is_gone_is_not_shown(line):
    assert line("Quite another song\nof two lines") is None
    assert line("") is None


def test_a_post_page_is_there_without_its_line(client, alice, ready_post, line):
    line("Quite another song")
    client.force_login(alice)
    page = client.get(f"/posts/{ready_post.pk}")
    assert page.status_code == 200
    assert page.content.decode().count("The tide comes in") == 2  # as the line of the other two songs


def test_what_is_not_sung_is_no_neighbour_and_no_line(alice, api_of, ready_post):
    """As older versions kept it."""
    suggestion = ready_post.requests.get().suggestions.get(rank=1)
    type(suggestion.song).objects.filter(pk=suggestion.song_id).update(
        lyrics="[Chorus]\nThe tide comes in (x2)\n[Solo]\nOn"
    )
    read = lambda: api_of(alice).get(f"/api/v1/posts/{ready_post.pk}").json()["suggestions"][0]["line"]  # noqa: E731
    assert read() == {"text": "The tide comes in", "place": 1, "before": [], "after": ["On"]}
    type(suggestion).objects.filter(pk=suggestion.pk).update(line="[Chorus]", line_index=0)
    assert read() is None
