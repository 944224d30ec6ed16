"""Photos of a host's own models: which rows count, how writes of any kind are followed, and the Python functions."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.db.models.deletion import Collector
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

import socialsongs
from socialsongs.attached import registry, sync
from socialsongs.attached.registry import NotAttached
from socialsongs.errors import NotSuggested, UnknownPost
from socialsongs.models import Feedback, PhotoAnalysis, PhotoSubject, Post, PostAccess, State, Suggestion, Thumbnail
from socialsongs.policy import Policy, policy, public_among
from socialsongs.services.releases import register
from socialsongs.services.thumbnails import thumbnail
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.posts import answer_bulk_posts, claim_posts
from workers.lanes.reconcile import Walk, reconcile
from workers.lanes.songs import encode_songs

from .gallery.models import Page, Picture, Snapshot

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _from_the_start():
    Walk.rows.clear()
    Walk.subjects.clear()


@pytest.fixture
def picture(alice, photo_bytes):
    def make(name="a.jpg", content=None, **values):
        values = {"author": alice, **values}
        file = name and ContentFile(photo_bytes() if content is None else content, name)
        return Picture.objects.create(file=file, **values)

    return make


@pytest.fixture
def attached():
    """Return a function that attaches the pictures with other arguments, until the end of the test."""
    before = dict(registry._attached)

    def make(**arguments):
        registry.detach(Picture)
        registry.attach(Picture, **{"image": "file", **arguments})

    yield make
    registry._attached.clear()
    registry._attached.update(before)


@pytest.fixture
def answered(release, make_song):
    """Return a function that answers a photo's request as a worker does, with three songs."""

    def make(photo):
        post = socialsongs.post_of(photo)
        asked = post.requests.get(is_default=True)
        PhotoAnalysis.objects.create(
            subject=post.subject, release=release, embedding=[0.0] * 128,
            tags=[{"name": "harbor", "kind": "scene", "score": 0.9, "box": [0, 0, 1, 1]}],
        )  # fmt: skip
        songs = [make_song(f"Song {rank}") for rank in (1, 2, 3)]
        for rank, song in enumerate(songs, 1):
            Suggestion.objects.create(request=asked, song=song, release=release, rank=rank, score=1.0)
        asked.state, asked.release, asked.finished_at = State.READY, release, timezone.now()
        asked.save()
        Post.objects.filter(pk=post.pk).update(state=State.READY)
        return songs

    return make


def only_post():
    return Post.objects.get()


# attach


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "photo"}, "no field 'photo'. Fields: author,"),
        ({"image": "title"}, "is a TextField. Name a FileField"),
        ({"owner": "page"}, "does not lead to one User. Name the users who manage"),
        ({"owner": "page__admins"}, "does not lead to one User"),
        ({"owner": "author__nobody"}, "User has no field 'nobody'"),
        ({"owner": "title__x"}, "has no field 'x'"),
        ({"visibility": "shown"}, "no field 'shown'"),
        ({"caption": "shouted"}, "For a property or a method, give a function"),
        ({"managed_by": "page__owners"}, "Page has no field 'owners'"),
        ({"managed_by": "page"}, "does not lead to rows of User"),
    ],
)
def test_what_does_not_fit_the_model_is_an_error_at_the_start(attached, arguments, message):
    with pytest.raises(ImproperlyConfigured) as error:
        attached(**arguments)
    assert message in str(error.value)


@isolate_apps("tests.gallery")
def test_a_visibility_that_could_also_be_a_field_is_refused():
    class Shot(models.Model):
        image = models.ImageField()
        public = models.BooleanField(default=False)

        class Meta:
            app_label = "gallery"

    with pytest.raises(ImproperlyConfigured, match="both a value for all photos and a field"):
        registry.attach(Shot, visibility="public")


@isolate_apps("tests.gallery")
def test_an_owner_by_another_column_than_the_key_is_the_same_person(alice):
    class Shot(models.Model):
        image = models.ImageField()
        who = models.ForeignKey(get_user_model(), models.CASCADE, to_field="username", related_name="+")

        class Meta:
            app_label = "gallery"

    attachment = registry.Attachment(Shot, "image", owner="who")
    assert attachment.values(Shot(image="a.jpg", who=alice)).owner == alice.pk


def test_what_was_read_before_the_row_changed_or_went_writes_nothing(picture, bob):
    photo, gone = picture(), picture()
    attachment = registry.attachment_of(photo)
    rows = list(attachment.rows())
    photo.author = bob
    photo.save()
    gone.delete()
    sync.sync_each(attachment, rows)
    socialsongs.suggest_for(rows[0] if rows[0].pk == photo.pk else rows[1])
    assert only_post().owner == bob


def test_a_row_whose_visibility_cannot_be_told_is_private_and_nothing_else_breaks(attached, picture, alice, api_of):
    def visible(photo):
        if photo.title == "bad":
            raise ValueError("boom")
        return True

    attached(owner="author", visibility=visible)
    good, bad = picture(), picture()
    posts = {photo.pk: socialsongs.post_of(photo) for photo in (good, bad)}
    Picture.objects.filter(pk=bad.pk).update(title="bad")
    assert api_of(alice).get(f"/api/v1/posts/{posts[bad.pk].pk}").status_code == 200
    assert [post.pk for post in public_among(list(posts.values()))] == [posts[good.pk].pk]


def test_rows_that_do_not_count_and_show_nothing_cost_no_further_queries(picture):
    attachment, queries = registry.attachment_of(picture()), []
    for number in (2, 12):
        for _ in range(number):
            picture()
        Picture.objects.update(kind="video")
        sync.sync_each(attachment, list(attachment.rows()))  # makes their posts private
        with CaptureQueriesContext(connection) as asked:
            sync.sync_each(attachment, list(attachment.rows()))
        queries.append(len(asked))
    assert queries[0] == queries[1]


def test_deletions_of_other_models_stay_as_fast_as_without_the_app():
    assert Collector("default").can_fast_delete(Session.objects.all())


def test_a_model_is_attached_once(attached):
    with pytest.raises(ImproperlyConfigured, match="attached already, with other arguments"):
        socialsongs.attach(Picture, image="file")
    for _ in range(2):  # Django calls ready() again when a test changes INSTALLED_APPS
        socialsongs.attach(Snapshot, visibility="public")


def test_a_new_row_has_a_queued_post_after_the_commit(picture, alice):
    with transaction.atomic():
        photo = picture(title="By the sea", is_public=True)
        assert not Post.objects.exists()
    post = socialsongs.post_of(photo)
    assert (post.owner, post.caption, post.visibility) == (alice, "By the sea", "public")
    assert (post.state, post.bulk) == (State.QUEUED, False)
    assert post.requests.get().is_default
    assert socialsongs.suggestions(photo).state == "queued"
    assert not post.photos.get().image  # no copy of the file


def test_a_write_that_is_rolled_back_leaves_nothing(picture):
    with transaction.atomic():
        picture()
        transaction.set_rollback(True)
    reconcile()
    assert not PhotoSubject.objects.exists()


def test_rows_that_do_not_count_have_no_post(picture):
    picture(kind="video")
    picture(name=None)
    reconcile()
    assert not Post.objects.exists()


def test_a_row_counts_as_soon_as_its_file_is_there(picture, photo_bytes):
    photo = picture(name=None)
    photo.file.save("late.jpg", ContentFile(photo_bytes()))
    assert only_post().subject.file_name == photo.file.name


def test_changes_of_the_row_follow(picture, bob):
    photo = picture(is_public=True)
    photo.title, photo.author, photo.is_public = "Other " + "x" * 5000, bob, False
    photo.save()
    post = only_post()
    assert (post.owner, post.visibility) == (bob, "private")
    assert post.caption == ("Other " + "x" * 5000)[:2200]


def test_writes_past_the_signals_follow_with_the_reconciler(alice, bob):
    Picture.objects.bulk_create(Picture(author=alice, file=f"{n}.jpg") for n in range(3))
    assert not Post.objects.exists()
    reconcile()
    assert Post.objects.filter(owner=alice, bulk=True, state=State.QUEUED).count() == 3
    Picture.objects.update(author=bob, title="New")
    reconcile()
    assert Post.objects.filter(owner=bob, caption="New").count() == 3
    Picture.objects.all()[:1].get()
    Picture.objects.filter(pk=Picture.objects.first().pk)._raw_delete("default")
    reconcile()
    assert Post.objects.count() == PhotoSubject.objects.count() == 2


def test_the_reconciler_walks_through_all_rows(alice, monkeypatch):
    monkeypatch.setattr(sync, "SLICE", 4)
    monkeypatch.setattr(sync, "NEWEST", 1)
    Picture.objects.bulk_create(Picture(author=alice, file=f"{n}.jpg") for n in range(10))
    for expected in (5, 9, 10):
        reconcile()
        assert Post.objects.count() == expected


def test_a_host_that_asks_so_has_only_new_rows_followed(attached, alice, picture):
    attached(owner="author", catch_up=False)
    Picture.objects.bulk_create([Picture(author=alice, file="old.jpg")])
    reconcile()
    assert not Post.objects.exists()
    new = picture()
    assert only_post() == socialsongs.post_of(new)


def test_another_file_is_analysed_and_the_choice_stays(picture, answered, alice, photo_bytes):
    photo = picture()
    songs = answered(photo)
    socialsongs.choose(photo, songs[0], user=alice)
    thumbnail(photo=only_post().photos.get(), side=192)
    photo.file.save("other.jpg", ContentFile(photo_bytes("PNG")))
    post = only_post()
    assert (post.state, post.chosen_song) == (State.QUEUED, songs[0])
    assert post.requests.get().state == State.QUEUED
    assert not PhotoAnalysis.objects.exists()
    assert not Thumbnail.objects.exists()


def test_a_deleted_row_takes_its_post_along_but_the_feedback_stays_without_the_person(picture, answered, alice):
    photo = picture()
    songs = answered(photo)
    socialsongs.choose(photo, songs[0], user=alice)
    photo.delete()
    assert not PhotoSubject.objects.exists()
    assert not Post.objects.exists()
    assert Feedback.objects.get().user is None


def test_a_row_that_no_longer_counts_is_seen_by_its_owner_only(picture, answered, alice, bob, api_of):
    photo = picture(is_public=True)
    answered(photo)
    post = only_post()
    assert api_of(bob).get(f"/api/v1/posts/{post.pk}").status_code == 200
    Picture.objects.update(kind="hidden")  # past the signals: it is hidden at once all the same
    assert api_of(bob).get(f"/api/v1/posts/{post.pk}").status_code == 404
    assert api_of(alice).get(f"/api/v1/posts/{post.pk}").status_code == 200
    reconcile()
    assert only_post().visibility == "private"


def test_an_owner_may_be_a_function_or_nobody(attached, picture, bob):
    attached(owner=lambda photo: bob)
    picture()
    assert only_post().owner == bob
    Snapshot.objects.create(image="snapshots/a.jpg")
    assert Post.objects.get(owner=None).visibility == "public"
    attached(owner=lambda photo: photo.title)
    with pytest.raises(ImproperlyConfigured, match="Return a user or None"):
        socialsongs.suggest_for(Picture.objects.get())


def test_a_function_of_the_host_that_fails_stops_neither_the_host_nor_other_rows(attached, alice, picture, caplog):
    attached(owner="author", caption=lambda photo: photo.title[5])
    picture(title="short")
    Picture.objects.bulk_create(Picture(author=alice, file=f"{n}.jpg", title="long enough") for n in range(3))
    reconcile()
    assert Post.objects.count() == 3
    assert "could not be followed" in caplog.text


def test_whoever_manages_the_photo_chooses_and_others_do_not(picture, answered, alice, bob, staff, api_of):
    page = Page.objects.create(name="Harbour")
    page.admins.add(bob)
    photo = picture(author=None, page=page)
    songs = answered(photo)
    url = f"/api/v1/posts/{only_post().pk}"
    assert api_of(alice).get(url).status_code == 404
    assert len(api_of(bob).get(url).json()["suggestions"]) == 3
    assert Feedback.objects.filter(kind="impression", user=bob).count() == 3
    hide = {"events": [{"kind": "hide", "song": str(songs[0].pk)}]}
    assert api_of(bob).post(f"{url}/feedback", hide, format="json").status_code == 200
    assert [one.song for one in socialsongs.suggestions(photo).songs] == songs[1:]
    assert api_of(staff).post(f"{url}/feedback", hide, format="json").status_code == 404
    assert api_of(bob).post(f"{url}/choice", {"song": str(songs[1].pk)}, format="json").status_code == 200
    assert socialsongs.chosen_song(photo) == songs[1]


# The API and the pages about attached photos


def test_the_api_names_the_photo_and_serves_it_without_its_metadata(picture, alice, api_of, client):
    from . import photos

    content = photos.with_segments(
        photos.written(photos.slope(), "JPEG"), photos.exif(photos.tiff([(0x8825, 2, 4, b"2.3\0"), photos.ROTATED]))
    )
    photo = picture(content=content)
    post = api_of(alice).get("/api/v1/posts").json()["results"][0]
    assert post["attached_photo"] == {"model": "gallery.picture", "id": str(photo.pk)}
    shown = api_of(alice).get(post["url"]).json()["photos"][0]
    assert (shown["width"], shown["height"], shown["tags"]) == (None, None, None)
    served = api_of(alice).get(shown["url"])
    body = b"".join(served.streaming_content)
    assert served["Content-Type"] == "image/jpeg"
    assert b"Exif" in content
    assert b"Exif" not in body
    small = api_of(alice).get(f"{shown['url']}?side=192")
    assert b"".join(small.streaming_content)[8:12] == b"WEBP"
    client.force_login(alice)
    assert client.get("/").status_code == 200
    assert client.get(f"/posts/{only_post().pk}").status_code == 200
    refused = api_of(alice).delete(post["url"])
    assert (refused.status_code, refused.json()["code"]) == (409, "attached_post")


def test_a_file_that_is_missing_or_no_photo_is_not_found(picture, alice, api_of):
    for content in (b"<html>", None):
        photo = picture(content=content)
        url = f"/api/v1/posts/{socialsongs.post_of(photo).pk}/photos/0"
        if content is None:
            photo.file.storage.delete(photo.file.name)
        assert api_of(alice).get(url).status_code == 404
        assert api_of(alice).get(f"{url}?side=192").status_code == 404


def test_staff_see_attached_photos_in_the_admin(picture, staff, client):
    picture()
    client.force_login(staff)
    for page in ("", f"{only_post().pk}/change/"):
        assert client.get(f"/admin/socialsongs/post/{page}").status_code == 200


# The functions


def test_songs_are_asked_for_chosen_and_judged(picture, answered, alice):
    photo = picture()
    assert socialsongs.tags(photo) is None
    songs = answered(photo)
    found = socialsongs.suggestions(photo)
    assert (found.state, [one.song for one in found.songs]) == ("ready", songs)
    assert [tag["name"] for tag in socialsongs.tags(photo)] == ["harbor"]
    assert socialsongs.feedback(photo, songs[0], "play", user=alice)
    assert not socialsongs.feedback(photo, songs[0], "play", user=alice)
    assert socialsongs.feedback(photo, songs[1], "hide", user=alice)
    assert [one.song for one in socialsongs.suggestions(photo).songs] == [songs[0], songs[2]]
    assert socialsongs.show_hidden(photo) == 1
    socialsongs.choose(photo, songs[2], user=alice, request=found.request)
    assert socialsongs.chosen_song(photo) == songs[2]
    socialsongs.unchoose(photo)
    assert socialsongs.chosen_song(photo) is None
    asked = socialsongs.suggest_for(photo, text="upbeat", parameters={"limit": 3})
    assert (asked.text, asked.parameters, asked.is_default) == ("upbeat", {"limit": 3}, False)
    assert socialsongs.suggestions(asked).state == "queued"


def test_wrong_calls_say_what_to_do(picture, alice, make_song):
    song = make_song()
    with pytest.raises(NotAttached, match=r"auth.User is not attached. Call socialsongs.attach\(User"):
        socialsongs.suggestions(alice)
    video = picture(kind="video")
    with pytest.raises(NotAttached, match="does not count"):
        socialsongs.suggest_for(video)
    assert socialsongs.suggestions(video) is None
    with pytest.raises(UnknownPost, match="has no post yet"):
        socialsongs.choose(video, song, user=alice)
    photo = picture()
    with pytest.raises(ValueError, match="give one of play, skip, hide"):
        socialsongs.feedback(photo, song, "like", user=alice)
    with pytest.raises(NotSuggested):
        socialsongs.feedback(photo, song, "play", user=alice)


def test_asking_for_a_photo_puts_it_before_other_work_and_tries_again(picture, alice):
    Picture.objects.bulk_create([Picture(author=alice, file="old.jpg")])
    reconcile()
    assert only_post().bulk
    socialsongs.suggest_for(Picture.objects.get())
    assert not only_post().bulk
    Post.objects.update(state=State.FAILED)
    socialsongs.suggest_for(Picture.objects.get())
    assert only_post().state == State.QUEUED


def test_the_bulk_lane_analyses_rows_that_nobody_waits_for(picture, model, make_song):
    photo = picture(is_public=True)
    song = make_song()
    row = register(name=model.name, sha256=model.sha256, card={})
    loaded = LoadedRelease(row, model)
    encode_songs(loaded, limit=5)
    Post.objects.update(bulk=True)
    releases = ServingReleases(loaded)
    assert claim_posts(releases) is None
    assert answer_bulk_posts(releases, limit=5) == 1
    found = socialsongs.suggestions(photo)
    assert (found.state, [one.song for one in found.songs]) == ("ready", [song])
    assert socialsongs.photos_for(song, model=Picture) == [photo]
    assert socialsongs.photos_for(song, model=Snapshot) == []
    Picture.objects.update(is_public=False)  # past the signals
    assert socialsongs.photos_for(song, model=Picture) == []


# Backfill


def backfill(*arguments):
    out = io.StringIO()
    call_command("socialsongs_backfill", *arguments, stdout=out)
    return out.getvalue()


def test_backfill_takes_all_rows_and_can_start_anew(attached, alice):
    attached(owner="author", catch_up=False)
    Picture.objects.bulk_create(Picture(author=alice, file=f"{n}.jpg") for n in range(5))
    keys = list(Picture.objects.order_by("pk").values_list("pk", flat=True))
    said = backfill("gallery.picture", "--after", str(keys[2]))
    assert said == "2 rows of gallery.Picture are done; 2 posts are queued\n"
    assert backfill("gallery.Picture", "--rate", "1000") == "5 rows of gallery.Picture are done; 3 posts are queued\n"
    assert Post.objects.filter(bulk=True).count() == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gallery.Page"], "gallery.Page is not attached. Attached models: gallery.Picture, gallery.Snapshot."),
        (["gallery.Picture", "--rate", "0"], "give a number above 0"),
        (["gallery.Picture", "--after", "x"], "no key of gallery.Picture"),
        (["gallery.Picture", "--most-waiting", "0"], "give 1 or more"),
    ],
)
def test_backfill_says_what_is_wrong(arguments, message):
    with pytest.raises(CommandError) as error:
        backfill(*arguments)
    assert message in str(error.value)


def test_old_attached_posts_are_not_forgotten(picture):
    picture()
    Post.objects.update(created_at=timezone.now() - timedelta(days=90))
    call_command("socialsongs_forget", "--days", "30", stdout=io.StringIO())
    assert Post.objects.exists()


# The policy and the permission classes of a host


class Editors(Policy):
    """Whoever is called bob sees the suggestions of all posts and manages them."""

    def may_view_suggestions(self, *, user, post):
        return user.get_username() == "bob" or super().may_view_suggestions(user=user, post=post)

    def may_manage(self, *, user, post):
        return user.get_username() == "bob" or super().may_manage(user=user, post=post)


def test_a_host_says_who_may_see_and_manage_posts(ready_post, bob, api_of, settings, client):
    url = f"/api/v1/posts/{ready_post.pk}"
    assert api_of(bob).get(url).status_code == 404
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "POLICY": "tests.test_attached.Editors"}
    shown = api_of(bob).get(url).json()
    assert len(shown["suggestions"]) == 3
    assert not Feedback.objects.exists()  # no impression: the list is not his own
    assert PostAccess.objects.get().reader_name == "bob"
    choice = {"song": shown["suggestions"][0]["song"]["id"]}
    assert api_of(bob).post(f"{url}/choice", choice, format="json").status_code == 200
    client.force_login(bob)
    assert b"Song 2" in client.get(f"/posts/{ready_post.pk}").content


def status_of(response):
    response.close()
    return response.status_code


def test_a_host_may_open_reading_to_visitors(ready_post, api_of, settings, make_song):
    visitor = api_of(None)
    url = f"/api/v1/posts/{ready_post.pk}"
    reads = [url, f"{url}/photos/0", "/api/v1/songs"]
    assert [status_of(visitor.get(read)) for read in reads] == [401, 401, 401]
    opened = {"PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"]}
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, **opened}
    assert [status_of(visitor.get(read)) for read in reads] == [404, 404, 200]
    Post.objects.update(visibility="public")
    assert [status_of(visitor.get(read)) for read in reads] == [200, 200, 200]
    assert visitor.get(url).json()["suggestions"] is None
    Post.objects.update(owner=None)  # nobody's post is not that of a visitor
    assert visitor.get(url).json()["suggestions"] is None
    assert visitor.get("/api/v1/posts").status_code == 401
    assert visitor.get("/api/v1/taste").status_code == 401
    assert visitor.delete(url).status_code == 401


@pytest.mark.parametrize("path", ["tests.test_attached.Nothing", "tests.test_attached.Picture"])
def test_a_policy_that_is_none_is_named(ready_post, alice, settings, path):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "POLICY": path}
    with pytest.raises(ImproperlyConfigured, match="POLICY"):
        policy()


def test_songs_for_a_text(alice):
    asked = socialsongs.songs_for_text("a walk by the sea", user=alice, parameters={"limit": 3})
    assert (asked.owner, asked.post, asked.parameters) == (alice, None, {"limit": 3})
    assert socialsongs.suggestions(asked).state == "queued"
