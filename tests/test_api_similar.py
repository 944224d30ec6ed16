"""GET /api/v1/songs/{id}/similar and /posts: similar songs, and posts that a song fits."""

import uuid

import pytest

from socialsongs.models import PhotoAnalysis, Post, SongEmbedding, State

from .test_api_posts import problem

pytestmark = pytest.mark.django_db
BOTH = pytest.mark.parametrize("what", ["similar", "posts"])


def url_of(song, what):
    return f"/api/v1/songs/{song.pk}/{what}"


def axis(*places):
    """Return a unit vector between the axes of the search space."""
    return [1 / len(places) ** 0.5 if place in places else 0.0 for place in range(129)]


@pytest.fixture
def encoded(release, make_song):
    """Return a function that makes a song whose stage-one vector is given."""

    def make(title, *places, **values):
        song = make_song(title, **values)
        SongEmbedding.objects.filter(song=song).update(stage_one=axis(*places), state=State.READY)
        return song

    return make


def test_similar_songs_come_most_alike_first(api_of, alice, encoded):
    sea = encoded("Sea", 0)
    encoded("Desert", 5)
    encoded("Harbour", 0, 1)
    encoded("Sea air", 0, 1, 2)
    encoded("Not yet", 0, status="draft")
    body = api_of(alice).get(url_of(sea, "similar"), {"limit": 2}).json()
    assert [song["title"] for song in body["results"]] == ["Harbour", "Sea air"]
    assert [song["similarity"] for song in body["results"]] == pytest.approx([0.707, 0.577], abs=0.01)
    assert body["notice"] is None
    assert len(api_of(alice).get(url_of(sea, "similar")).json()["results"]) == 3


def test_public_posts_that_a_song_fits_are_found_and_private_ones_are_not(api_of, bob, encoded, ready_post):
    PhotoAnalysis.objects.update(direction=axis(0, 1), embedding=axis(0, 1)[:128])
    url = url_of(encoded("Sea", 0), "posts")
    assert api_of(bob).get(url).json() == {"results": [], "notice": None}
    Post.objects.update(visibility="public")
    (found,) = api_of(bob).get(url).json()["results"]
    assert (found["id"], found["caption"]) == (str(ready_post.pk), "By the sea")
    assert "suggestions" not in found
    Post.objects.update(state=State.QUEUED)
    assert api_of(bob).get(url).json()["results"] == []


@BOTH
def test_a_song_that_is_not_encoded_has_no_similar_songs_and_a_notice(api_of, alice, make_song, what):
    body = api_of(alice).get(url_of(make_song(), what))
    assert (body.status_code, body.json()["results"], body.json()["notice"]["code"]) == (200, [], "not_encoded")
    assert body.json()["notice"]["detail"]


@BOTH
def test_without_an_active_release_there_is_a_notice(api_of, alice, encoded, release, what):
    song = encoded("Sea", 0)
    release.state = "retired"
    release.save()
    assert api_of(alice).get(url_of(song, what)).json()["notice"]["code"] == "not_encoded"


@BOTH
@pytest.mark.parametrize("limit", ["0", "51", "-1", "10000", "ten", "1.5", "5\0", "9" * 5000])
def test_a_bad_limit_is_named(api_of, alice, encoded, what, limit):
    body = problem(api_of(alice).get(url_of(encoded("Sea", 0), what), {"limit": limit}), 400, "invalid")
    assert list(body["errors"]) == ["limit"]


@BOTH
def test_songs_that_are_not_published_do_not_exist(api_of, alice, encoded, what):
    problem(api_of(alice).get(url_of(encoded("Not yet", 0, status="draft"), what)), 404, "not_found")
    problem(api_of(alice).get(f"/api/v1/songs/{uuid.uuid4()}/{what}"), 404, "not_found")
    problem(api_of(None).get(url_of(encoded("Sea", 0), what)), 401, "not_authenticated")
