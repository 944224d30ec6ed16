"""Similar songs, and public posts that a song fits; vectors have two numbers and many zeros."""

from io import StringIO

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, transaction

from socialsongs.errors import NotEncoded
from socialsongs.models import (
    SEARCH_DIM,
    ApiClient,
    ExternalUser,
    PhotoAnalysis,
    PhotoSubject,
    Post,
    PostPhoto,
    Song,
    SongEmbedding,
    State,
)
from socialsongs.selectors import nearest, similar
from socialsongs.selectors.similar import BEST_PHOTOS, posts_for_song, similar_songs
from socialsongs.services.posts import create_post
from socialsongs.services.releases import register

pytestmark = pytest.mark.django_db


def vector(x, y, rest=0.0):
    return [x, y] + [0.0] * 126 + [rest]


@pytest.fixture
def encoded(release, make_song):
    """Return a function that makes a song whose vector is (x, y) for the active release."""

    def make(title, x, y, rest=0.0, **values):
        song = make_song(title, **values)
        SongEmbedding.objects.filter(song=song).update(stage_one=vector(x, y, rest), state="ready")
        return song

    return make


@pytest.fixture
def seen(release, alice, upload):
    """Return a function that makes a public, ready post whose photos have these directions."""

    def make(*directions, caption="", **values):
        post, _ = create_post(owner=alice, uploads=[upload() for _ in directions], caption=caption)
        Post.objects.filter(pk=post.pk).update(**{"visibility": "public", "state": State.READY, **values})
        for photo, direction in zip(post.photos.all(), directions, strict=True):
            PhotoAnalysis.objects.create(
                subject=photo.subjects.get(),
                release=release,
                embedding=[0.0] * 128,
                direction=direction and vector(*direction),
            )
        return post

    return make


def found(song, limit=10):
    return [(other.title, round(similarity, 2)) for other, similarity in similar_songs(song=song, limit=limit)]


def test_the_most_similar_come_first(encoded):
    song = encoded("Sea", 1, 0)
    encoded("Sand", 0, 1)
    encoded("Tide", 0.6, 0.8)
    encoded("Ocean", 0.8, 0.6)
    encoded("Desert", -1, 0)
    assert found(song) == [("Ocean", 0.8), ("Tide", 0.6), ("Sand", 0.0), ("Desert", 0.0)]
    assert found(song, limit=1) == [("Ocean", 0.8)]


def test_what_makes_all_songs_equally_long_does_not_count(encoded, monkeypatch):
    monkeypatch.setattr(similar, "FEWEST_CANDIDATES", 1)
    monkeypatch.setattr(similar, "CANDIDATES_PER_SONG", 1)
    song = encoded("Sea", 0.3, 0, rest=0.95)
    encoded("Mud", 0, 0.3, rest=0.95)
    encoded("Ocean", 0.8, 0.6, rest=0)
    assert found(song) == [("Ocean", 0.8), ("Mud", 0.0)]
    assert found(song, limit=1) == [("Ocean", 0.8)]


def test_length_does_not_count(encoded):
    song = encoded("Sea", 1, 0)
    encoded("Long", 2, 2)
    encoded("Near", 0.1, 0.01)
    assert found(song) == [("Near", 1.0), ("Long", 0.71)]


def test_recordings_of_one_song_count_once_and_its_own_not_at_all(encoded):
    song = encoded("Sea", 1, 0)
    encoded("SEA", 1, 0)
    encoded("Ocean", 0.8, 0.6)
    encoded("ocean", 0.6, 0.8)
    encoded("Ocean", 0, 1, artist="Somebody else")
    assert found(song) == [("Ocean", 0.8), ("Ocean", 0.0)]


def test_only_published_songs_of_the_active_release_are_similar(encoded, make_song):
    song = encoded("Sea", 1, 0)
    encoded("Draft", 1, 0, status="draft")
    make_song("Not read yet")
    later = make_song("Read by another release")
    other = register(name="newer", sha256="1" * 64, card={})
    SongEmbedding.objects.filter(song=later, release=other).update(stage_one=vector(1, 0))
    assert found(song) == []


def test_explicit_songs_are_similar_to_explicit_ones_alone(encoded):
    song, rude = encoded("Sea", 1, 0), encoded("Rude", 1, 0, explicit=True)
    encoded("Ruder", 0.8, 0.6, explicit=True)
    assert found(song) == []
    assert found(rude) == [("Sea", 1.0), ("Ruder", 0.8)]


def test_only_songs_for_the_site_s_market_are_similar(encoded, settings):
    song = encoded("Sea", 1, 0)
    encoded("Meer", 1, 0, markets=["DE"])
    encoded("Mer", 1, 0, markets=["FR"])
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MARKET": "DE"}
    assert found(song) == [("Meer", 1.0)]


def test_a_song_that_is_not_encoded_has_no_similar_songs_and_no_posts(release, make_song):
    song = make_song()
    for ask in (similar_songs, posts_for_song):
        with pytest.raises(NotEncoded, match="not been encoded"):
            ask(song=song, limit=5)


def test_without_a_release_no_song_has_similar_songs_or_posts(make_song):
    song = make_song()
    for ask in (similar_songs, posts_for_song):
        with pytest.raises(NotEncoded):
            ask(song=song, limit=5)


def captions(song, limit=10):
    return [post.caption for post in posts_for_song(song=song, limit=limit)]


def test_posts_come_by_how_well_the_song_fits_their_best_photo(encoded, seen):
    song = encoded("Sea", 1, 0)
    seen((0.5, 3), caption="middle")
    seen((-1, 0), (2, 0), (1.5, 0), caption="best")
    seen((0.1, 0), caption="last")
    assert captions(song) == ["best", "middle", "last"]
    assert captions(song, limit=2) == ["best", "middle"]


def test_only_public_posts_that_are_ready_are_shown(encoded, seen, release):
    song = encoded("Sea", 1, 0)
    seen((1, 0), visibility="private")
    seen((1, 0), state=State.FAILED)
    seen((1, 0), state=State.ANALYSING)
    seen(None)
    shown = seen((0.5, 0), caption="shown")
    assert posts_for_song(song=song, limit=1) == [shown]
    assert posts_for_song(song=song, limit=10) == [shown]
    PhotoAnalysis.objects.update(release=register(name="newer", sha256="1" * 64, card={}))
    assert posts_for_song(song=song, limit=10) == []


def test_photos_of_other_models_are_no_posts(encoded, seen, release):
    """Their keys may be of any type, and may even be the same."""
    song = encoded("Sea", 1, 0)
    seen(None, caption="post")
    for key in (str(PostPhoto.objects.get().pk), "17"):
        subject = PhotoSubject.objects.create(content_type=ContentType.objects.get_for_model(Song), object_id=key)
        PhotoAnalysis.objects.create(subject=subject, release=release, embedding=[0.0] * 128, direction=vector(1, 0))
    assert captions(song) == []


def test_posts_of_a_client_s_people_are_found_by_their_circle_alone(encoded, seen, alice, bob, api_of):
    song = encoded("Sea", 1, 0)
    seen((1, 0), caption="of alice")
    seen((1, 0), caption="of a client", owner=bob)
    platform = ApiClient.objects.create(name="Pictogram", scopes=["posts:read"])
    ExternalUser.objects.create(client=platform, external_id="17", user=bob, made=True)

    def captions_for(user):
        return [post["caption"] for post in api_of(user).get(f"/api/v1/songs/{song.pk}/posts").json()["results"]]

    assert (captions_for(alice), captions_for(bob)) == (["of alice"], ["of a client"])
    ApiClient.objects.update(shares_public_posts=True)
    assert sorted(captions_for(alice)) == sorted(captions_for(bob)) == ["of a client", "of alice"]


def test_a_page_of_posts_asks_a_fixed_number_of_queries(encoded, seen, django_assert_max_num_queries):
    song = encoded("Sea", 1, 0)
    for _ in range(4):
        seen((1, 0))
    with django_assert_max_num_queries(8):
        posts = posts_for_song(song=song, limit=4)
        assert len(posts) == 4
        for post in posts:
            assert len(post.photos.all()) == 1
            assert post.chosen_song is None


@pytest.mark.django_db(transaction=True)
def test_where_the_index_gives_up_all_photos_are_compared(encoded, seen, monkeypatch):
    """Private photos are nearer than the public one, and the index may visit only a few rows."""
    monkeypatch.setattr(nearest, "MOST_SCANNED", 1)
    song = encoded("Sea", 1, 0)
    post = seen(*[(2, number / 100) for number in range(9)], visibility="private")
    subjects = [PhotoSubject(photo=photo, field=f"copy{n}") for n in range(60) for photo in post.photos.all()]
    PhotoSubject.objects.bulk_create(subjects)
    PhotoAnalysis.objects.bulk_create(
        PhotoAnalysis(subject=subject, release_id=song.embeddings.get().release_id, embedding=[0.0] * 128,
                      direction=vector(2, number / 1000))
        for number, subject in enumerate(subjects)
    )  # fmt: skip
    seen((0.5, 0), caption="public")
    call_command("releases", "index", "written-down", stdout=StringIO())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        assert captions(song, limit=1) == ["public"]


@pytest.mark.django_db(transaction=True)
def test_posts_are_found_by_the_index_of_photos(release, seen):
    """Millions of photos cannot be compared one by one."""
    seen((1, 0))
    call_command("releases", "index", release.name, stdout=StringIO())
    values = {
        "photos": 1, "release": release.pk, "public": "public", "ready": "ready", "limit": 3, "candidates": 30,
        "client": None, "models": None, "song": str([0.1] * SEARCH_DIM),
    }  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {BEST_PHOTOS}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert f"Index Scan using socialsongs_photos_hnsw_{release.pk}" in plan
