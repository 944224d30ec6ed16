"""Curation, as staff."""

import pytest
from django.contrib.auth.models import Permission

from socialsongs.models import Post, Song, SongEmbedding, State
from socialsongs.services.posts import create_post

pytestmark = pytest.mark.django_db
SONGS = "/admin/socialsongs/song/"


@pytest.fixture
def desk(client, staff):
    client.force_login(staff)
    return client


def test_songs_can_be_searched_and_filtered(desk, release, make_song):
    make_song("Harbour")
    make_song("Desert", lyrics="sand", status="draft")
    SongEmbedding.objects.filter(song__title="Desert").update(state="failed", reason="lyrics_unreadable")
    assert "Desert" not in desk.get(SONGS, {"q": "tide"}).content.decode().split("id_changelist")[-1]
    for query in ({"encoding": "failed"}, {"status__exact": "draft"}, {"q": "sand"}):
        page = desk.get(SONGS, query).content.decode()
        assert "Desert</a>" in page, query
        assert "Harbour</a>" not in page, query
    assert "lyrics unreadable" in desk.get(SONGS).content.decode()


def test_a_saved_song_is_encoded_again(desk, release, make_song):
    song = make_song()
    SongEmbedding.objects.update(state="ready")
    form = desk.get(f"{SONGS}{song.pk}/change/").context["adminform"].form
    values = {name: value for name, value in form.initial.items() if value is not None}
    values |= {"lyrics": "New words", "status": "draft", "moods": "", "themes": "", "markets": "", "preview_file": ""}
    assert desk.post(f"{SONGS}{song.pk}/change/", values).status_code == 302
    row = SongEmbedding.objects.get()
    assert (row.state, row.status) == ("queued", "draft")


def test_actions_publish_and_retire(desk, release, make_song):
    songs = [make_song(title, status="draft") for title in "AB"]
    chosen = {"_selected_action": [str(song.pk) for song in songs]}
    desk.post(SONGS, {"action": "publish", **chosen})
    assert set(Song.objects.values_list("status", flat=True)) == {"published"}
    assert set(SongEmbedding.objects.values_list("status", flat=True)) == {"published"}
    desk.post(SONGS, {"action": "retire", **chosen})
    assert set(SongEmbedding.objects.values_list("status", flat=True)) == {"retired"}


def test_the_list_of_songs_asks_a_fixed_number_of_queries(desk, release, make_song, django_assert_max_num_queries):
    for number in range(30):
        make_song(f"Song {number}")
    with django_assert_max_num_queries(12):
        assert desk.get(SONGS).status_code == 200


def test_a_post_shows_tags_and_suggestions_with_reasons(desk, ready_post):
    page = desk.get(f"/admin/socialsongs/post/{ready_post.pk}/change/").content.decode()
    for text in ("harbor 0.90", "Song 2 - The Ferry Hands", "The tide comes in", "harbor 0.50", "written-down"):
        assert text in page
    assert desk.get("/admin/socialsongs/post/", {"q": "alice"}).content.decode().count("/photos/0") == 1


def test_failed_posts_are_retried(desk, ready_post):
    Post.objects.update(state=State.FAILED, reason="attempts_exhausted")
    desk.post("/admin/socialsongs/post/", {"action": "retry", "_selected_action": [str(ready_post.pk)]})
    assert Post.objects.get().state == State.QUEUED


@pytest.mark.parametrize("model", ["modelrelease", "feedback", "recommendationrequest", "post", "song"])
def test_every_list_opens(desk, ready_post, model):
    assert desk.get(f"/admin/socialsongs/{model}/").status_code == 200


def test_a_release_shows_its_coverage(desk, release, make_song):
    make_song()
    assert "0 of 1" in desk.get(f"/admin/socialsongs/modelrelease/{release.pk}/change/").content.decode()


def test_deleting_a_post_or_its_owner_removes_the_files(
    desk, ready_post, alice, upload, django_capture_on_commit_callbacks
):
    other, _ = create_post(owner=alice, uploads=[upload()])
    first, second = (post.photos.get().image for post in (ready_post, other))
    with django_capture_on_commit_callbacks(execute=True):
        desk.post(f"/admin/socialsongs/post/{ready_post.pk}/delete/", {"post": "yes"})
    assert not first.storage.exists(first.name)
    assert second.storage.exists(second.name)
    with django_capture_on_commit_callbacks(execute=True):
        alice.delete()
    assert not second.storage.exists(second.name)


def test_who_may_only_look_changes_nothing(client, bob, release, make_song, ready_post):
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_song", "view_post"]))
    client.force_login(bob)
    song = make_song()
    client.post(SONGS, {"action": "retire", "_selected_action": [str(song.pk)]})
    assert Song.objects.get(pk=song.pk).status == "published"
    Post.objects.update(state=State.FAILED)
    client.post("/admin/socialsongs/post/", {"action": "retry", "_selected_action": [str(ready_post.pk)]})
    assert Post.objects.get().state == State.FAILED
