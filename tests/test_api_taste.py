"""GET, PATCH and DELETE /api/v1/taste: a person's own choices, and whether they count."""

import pytest

from socialsongs.models import Feedback, Taste
from socialsongs.services.feedback import choose_song, record_feedback
from socialsongs.services.taste import offer_taste

from .test_api_posts import problem

pytestmark = pytest.mark.django_db
URL = "/api/v1/taste"


@pytest.fixture
def told(alice, ready_post):
    """Let Alice, who was offered taste, choose the first song of her post, skip the second and hide the third."""
    offer_taste(user=alice)
    songs = [suggestion.song for suggestion in ready_post.requests.get().suggestions.all()]
    choose_song(post=ready_post, user=alice, song_id=songs[0].pk)
    for song, kind in ((songs[1], "skip"), (songs[2], "hide")):
        record_feedback(post=ready_post, user=alice, song_id=song.pk, kind=kind)
    return songs


def titles(songs):
    return [song["title"] for song in songs]


def test_it_is_off_until_the_host_offers_it(api_of, alice):
    api = api_of(alice)
    nothing = {"offered": False, "enabled": False, "since": None, "chosen": [], "skipped": []}
    assert api.get(URL).json() == nothing
    problem(api.patch(URL, {"enabled": True}, format="json"), 409, "taste_not_offered")
    assert api.delete(URL).status_code == 204
    assert api.get(URL).json() == nothing


def test_it_shows_what_is_known(api_of, alice, bob, told):
    offer_taste(user=bob)
    profile = api_of(alice).get(URL).json()
    assert (profile["offered"], profile["enabled"]) == (True, True)
    assert profile["since"]
    assert titles(profile["chosen"]) == ["Song 1"]
    assert titles(profile["skipped"]) == ["Song 3", "Song 2"]
    others = api_of(bob).get(URL).json()
    assert (others["chosen"], others["skipped"]) == ([], [])


def test_it_can_be_turned_off_and_on(api_of, alice, told):
    for enabled in (False, True):
        assert api_of(alice).patch(URL, {"enabled": enabled}, format="json").json()["enabled"] is enabled
        assert Taste.objects.get(user=alice).enabled is enabled


def test_it_can_be_forgotten_while_the_feedback_stays(api_of, alice, told):
    before = api_of(alice).get(URL).json()["since"]
    assert api_of(alice).delete(URL).status_code == 204
    after = api_of(alice).get(URL).json()
    assert (after["chosen"], after["skipped"]) == ([], [])
    assert (after["enabled"], after["since"] > before) == (True, True)
    assert Feedback.objects.filter(user=alice).count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"enabled": True, "enable": False}, "enable"),
        ([], "non_field_errors"),
    ],
)
def test_what_is_wrong_is_named(api_of, alice, told, body, field):
    assert list(problem(api_of(alice).patch(URL, body, format="json"), 400, "invalid")["errors"]) == [field]


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_it_asks_for_a_login(api_of, method):
    problem(getattr(api_of(None), method)(URL), 401, "not_authenticated")
