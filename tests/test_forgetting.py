"""What is left of a post, a person and old posts once they are deleted: nothing that leads back to them."""

import os
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from socialsongs.models import (
    Feedback,
    PhotoAnalysis,
    PhotoSubject,
    Post,
    PostPhoto,
    RecommendationRequest,
    Suggestion,
    Taste,
    Thumbnail,
)
from socialsongs.services import forgetting
from socialsongs.services.feedback import choose_song, record_impressions
from socialsongs.services.posts import create_post, delete_post
from socialsongs.services.taste import offer_taste
from socialsongs.services.thumbnails import thumbnail

pytestmark = pytest.mark.django_db


@pytest.fixture
def lived(ready_post, alice, release):
    """Make a post with rows in every table that can refer to it."""
    asked = ready_post.requests.get()
    record_impressions(request=asked, shown=asked.suggestions.all(), user=alice)
    choose_song(post=ready_post, user=alice, song_id=asked.suggestions.get(rank=1).song_id)
    steered = RecommendationRequest.objects.create(post=ready_post, text="upbeat", state="ready", release=release)
    Suggestion.objects.create(
        request=steered, song=asked.suggestions.get(rank=1).song, release=release, rank=1, score=1.0
    )
    record_impressions(request=steered, shown=steered.suggestions.all(), user=alice)
    thumbnail(photo=ready_post.photos.get(), side=192)
    return ready_post


def keys_of(post):
    """Return the keys of every row about a post, as texts."""
    photos = PostPhoto.objects.filter(post=post)
    subjects = PhotoSubject.objects.filter(object_id__in=[str(photo.pk) for photo in photos])
    requests = RecommendationRequest.objects.filter(post=post)
    return {str(row.pk) for row in [post, *photos, *subjects, *requests]}


def mentions(keys):
    """Return the rows of any table of the app that hold one of the keys in any column."""
    return [
        f"{model.__name__}.{name} = {value}"
        for model in apps.get_app_config("socialsongs").get_models()
        for row in model.objects.values()
        for name, value in row.items()
        if any(key in str(value) for key in keys)
    ]


def files():
    return {path.name for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}


def delete_by_admin(post, client, staff):
    client.force_login(staff)
    client.post(f"/admin/socialsongs/post/{post.pk}/delete/", {"post": "yes"})


def delete_by_action(post, client, staff):
    client.force_login(staff)
    chosen = {"action": "delete_selected", "_selected_action": [str(post.pk)], "post": "yes"}
    client.post("/admin/socialsongs/post/", chosen)


WAYS = {
    "service": lambda post, client, staff: delete_post(post=post),
    "queryset": lambda post, client, staff: Post.objects.filter(pk=post.pk).delete(),
    "admin": delete_by_admin,
    "action": delete_by_action,
    "account": lambda post, client, staff: post.owner.delete(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_nothing_is_left_of_a_deleted_post(lived, client, staff, alice, way, django_capture_on_commit_callbacks):
    keys, name = keys_of(lived), os.path.basename(lived.photos.get().image.name)
    small = os.path.basename(Thumbnail.objects.get().image.name)
    assert mentions(keys)
    assert {name, small} <= files()
    with django_capture_on_commit_callbacks(execute=True):
        way(lived, client, staff)
    assert not Post.objects.exists()
    assert mentions(keys) == []
    assert not {name, small} & files()
    for model in (PhotoSubject, PhotoAnalysis, RecommendationRequest, Suggestion, Thumbnail):
        assert not model.objects.exists(), model


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_feedback_outlives_its_post_as_nobody_s(lived, client, staff, way, release):
    before = sorted(Feedback.objects.values_list("kind", "song", "rank", "propensity", "release"))
    assert len(before) == 5
    way(lived, client, staff)
    assert sorted(Feedback.objects.values_list("kind", "song", "rank", "propensity", "release")) == before
    assert set(Feedback.objects.values_list("user", "request")) == {(None, None)}


def test_feedback_about_other_posts_stays_theirs(lived, alice, bob, release):
    other = RecommendationRequest.objects.create(text="rain", release=release)
    song = Suggestion.objects.first().song
    Feedback.objects.create(request=other, song=song, user=bob, kind="play", release=release, rank=1, propensity=1.0)
    delete_post(post=lived)
    assert Feedback.objects.filter(user=bob, request=other).count() == 1


def test_nothing_is_left_of_a_deleted_person(
    lived, alice, bob, upload, release, django_capture_on_commit_callbacks, make_song
):
    second, _ = create_post(owner=alice, uploads=[upload(), upload()])
    offer_taste(user=alice)
    offer_taste(user=bob)
    others, _ = create_post(owner=bob, uploads=[upload()])
    Feedback.objects.create(
        request=others.requests.get(),
        song=make_song(),
        user=alice,
        kind="play",
        release=release,
        rank=1,
        propensity=1.0,
    )
    keys = keys_of(lived) | keys_of(second)
    key = alice.pk
    gone = {os.path.basename(photo.image.name) for photo in PostPhoto.objects.filter(post__owner=alice)}
    with django_capture_on_commit_callbacks(execute=True):
        alice.delete()
    assert mentions(keys) == []
    assert not gone & files()
    assert not Taste.objects.filter(user=key).exists()
    assert not Feedback.objects.filter(user=key).exists()
    assert Feedback.objects.get(kind="play").request == others.requests.get()
    # Bob keeps what is his.
    assert Post.objects.get() == others
    assert Taste.objects.get().user == bob
    assert os.path.basename(others.photos.get().image.name) in files()


def aged(post, days):
    Post.objects.filter(pk=post.pk).update(created_at=timezone.now() - timedelta(days=days))


def run(*arguments):
    out = StringIO()
    call_command("forget", *arguments, stdout=out)
    return out.getvalue()


def test_old_posts_are_forgotten_and_new_ones_kept(lived, alice, upload, django_capture_on_commit_callbacks):
    new, _ = create_post(owner=alice, uploads=[upload()])
    aged(lived, 31)
    aged(new, 29)
    keys, name = keys_of(lived), os.path.basename(lived.photos.get().image.name)
    assert run("--days", "30", "--dry-run") == "1 posts with 1 photos and 0 texts would be deleted\n"
    assert Post.objects.count() == 2
    with django_capture_on_commit_callbacks(execute=True):
        assert run("--days", "30") == "1 posts with 1 photos and 0 texts are deleted\n"
    assert Post.objects.get() == new
    assert mentions(keys) == []
    assert name not in files()
    assert set(Feedback.objects.values_list("user", "request")) == {(None, None)}


def test_many_are_forgotten_in_batches(alice, upload, monkeypatch):
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for count in (1, 2, 1, 1, 2):
        aged(create_post(owner=alice, uploads=[upload() for _ in range(count)])[0], 10)
    for _ in range(5):
        RecommendationRequest.objects.create(text="the sea")
    RecommendationRequest.objects.filter(post=None).update(created_at=timezone.now() - timedelta(days=10))
    assert forgetting.forget(older_than=timedelta(days=9)) == (5, 7, 5)
    assert not Post.objects.exists()
    assert not RecommendationRequest.objects.exists()


@override_settings(SOCIALSONGS={"RETENTION_DAYS": 5})
def test_the_setting_says_how_old(lived):
    aged(lived, 6)
    assert run("--days", "7", "--dry-run").startswith("0 posts")
    assert run("--dry-run").startswith("1 posts")


def test_without_an_age_nothing_is_forgotten(lived):
    aged(lived, 10_000)
    with pytest.raises(CommandError, match="RETENTION_DAYS"):
        run()
    for days in ("0", "-3", "99999999999"):
        with pytest.raises(CommandError, match="from 1 to"):
            run("--days", days)
    assert Post.objects.exists()


def test_texts_that_belong_to_no_post_are_forgotten_with_the_old_posts(alice):
    RecommendationRequest.objects.create(text="the sea")
    new = RecommendationRequest.objects.create(text="the sea")
    photo = PhotoSubject.objects.create(content_type=ContentType.objects.get_for_model(alice), object_id=str(alice.pk))
    post = Post.objects.create(subject=photo)
    of_a_host = RecommendationRequest.objects.create(post=post, is_default=True)
    Post.objects.update(created_at=timezone.now() - timedelta(days=10))
    RecommendationRequest.objects.exclude(pk=new.pk).update(created_at=timezone.now() - timedelta(days=10))
    assert run("--days", "9", "--dry-run") == "0 posts with 0 photos and 1 texts would be deleted\n"
    assert run("--days", "9") == "0 posts with 0 photos and 1 texts are deleted\n"
    assert set(RecommendationRequest.objects.all()) == {new, of_a_host}
