"""Rights on posts: what tests/permissions.py, the table of every address, does not show."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from socialsongs.models import Post, PostAccess, RecommendationRequest, Song, State

pytestmark = pytest.mark.django_db

CAST = ["anonymous", "owner", "other", "staff", "viewer", "moderator", "curator", "superuser"]
# Permissions of accounts that may enter the admin; of "viewer", who may not, the same as a moderator's.
RIGHTS = {
    "staff": [],
    "viewer": ["view_post"],
    "moderator": ["view_post", "view_recommendationrequest"],
    "curator": ["view_song", "add_song", "change_song", "delete_song", "view_recommendationrequest", "view_feedback"],
}
SEES_PRIVATE = {"owner", "viewer", "moderator", "superuser"}


@pytest.fixture
def cast(alice, bob, django_user_model):
    people = {"owner": alice, "other": bob, "superuser": django_user_model.objects.create_superuser("root")}
    for name, codenames in RIGHTS.items():
        person = django_user_model.objects.create_user(name, is_staff=name != "viewer")
        person.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        people[name] = person
    return people


@pytest.fixture
def browser_of(cast):
    def make(name):
        client = Client()
        if name != "anonymous":
            client.force_login(cast[name])
        return client

    return make


def arguments(name, post, song):
    asked = post.requests.get(is_default=True)
    if name.endswith("list"):
        return []
    if "recommendationrequest" in name:
        return [asked.pk]
    more = {
        "socialsongs:post-photo": [0],
        "socialsongs:recommendation": [asked.pk],
        "socialsongs:post-hidden": [song.pk],
        "socialsongs:post-page-choose": [song.pk],
        "socialsongs:post-page-show": [song.pk],
        "socialsongs:post-page-feedback": [song.pk, "play"],
    }
    return [post.pk, *more.get(name, [])]


def test_the_right_to_view_requests_shows_none_without_the_right_to_view_posts(browser_of, ready_post):
    for page in ("changelist", "change", "history"):
        name = f"admin:socialsongs_recommendationrequest_{page}"
        url = reverse(name, args=arguments(name, ready_post, Song.objects.first()))
        assert browser_of("curator").get(url).status_code == 403
        assert browser_of("moderator").get(url).status_code == 200


@pytest.mark.parametrize("who", CAST[1:])
@pytest.mark.parametrize("visibility", ["private", "public"])
@pytest.mark.parametrize("name", ["post", "post-page", "post-progress"])
def test_tags_and_suggestions_are_for_the_owner_and_who_may_view_posts(browser_of, ready_post, name, visibility, who):
    Post.objects.update(visibility=visibility)
    page = browser_of(who).get(reverse(f"socialsongs:{name}", args=[ready_post.pk])).content.decode()
    for secret in ("harbor", "The tide comes in"):
        assert (secret in page) == (who in SEES_PRIVATE)


def test_the_staff_flag_alone_gives_nothing_through_a_token_either(api_of, cast, ready_post):
    url = reverse("socialsongs:post", args=[ready_post.pk])
    for who in ("staff", "curator"):
        assert api_of(cast[who]).get(url).status_code == 404
    assert api_of(cast["viewer"]).get(url).status_code == 200


@pytest.mark.parametrize(
    ("codename", "deleted", "retried"), [("view_post", 0, 0), ("change_post", 0, 1), ("delete_post", 1, 0)]
)
def test_each_action_has_its_permission(browser_of, cast, ready_post, codename, deleted, retried):
    rights = Permission.objects.filter(codename__in=["view_post", codename])
    cast["staff"].user_permissions.set(rights)
    Post.objects.update(state=State.FAILED)
    client, listed = browser_of("staff"), reverse("admin:socialsongs_post_changelist")
    for action in ("retry", "delete_selected"):
        client.post(listed, {"action": action, "_selected_action": [str(ready_post.pk)], "post": "yes"})
        if action == "retry":
            assert Post.objects.filter(state=State.QUEUED).count() == retried
    assert Post.objects.count() == 1 - deleted


def test_the_right_to_change_posts_does_not_show_them(browser_of, cast, ready_post):
    others = ["change_post", "delete_post", "delete_recommendationrequest"]
    cast["staff"].user_permissions.set(Permission.objects.filter(codename__in=others))
    client = browser_of("staff")
    for name, status in {
        "admin:socialsongs_post_change": 403,
        "socialsongs:post-page": 404,
        "socialsongs:post": 404,
    }.items():
        assert client.get(reverse(name, args=[ready_post.pk])).status_code == status
    for name in ("admin:socialsongs_post_delete", "admin:socialsongs_recommendationrequest_delete"):
        url = reverse(name, args=arguments(name, ready_post, Song.objects.first()))
        assert client.get(url).status_code == client.post(url, {"post": "yes"}).status_code == 403
    assert Post.objects.count() == 1


def test_metrics_have_a_permission_of_their_own(api_of, cast, ready_post):
    assert {who: api_of(cast[who]).get("/metrics/").status_code for who in CAST[1:]} == dict.fromkeys(CAST[1:], 403) | {
        "superuser": 200
    }
    scraper = cast["other"]
    scraper.user_permissions.set(Permission.objects.filter(codename="view_metrics"))
    assert api_of(scraper).get("/metrics/").status_code == 200
    assert api_of(scraper).get(reverse("socialsongs:post", args=[ready_post.pk])).status_code == 404


# The record of reads


def looks():
    return set(PostAccess.objects.values_list("reader_name", "post", "owner", "door"))


LOOKS = [
    ("socialsongs:post", "api"),
    ("socialsongs:recommendation", "api"),
    ("socialsongs:post-photo", "photo"),
    ("socialsongs:post-page", "page"),
    ("socialsongs:post-progress", "page"),
    ("admin:socialsongs_post_changelist", "admin"),
    ("admin:socialsongs_post_change", "admin"),
    ("admin:socialsongs_recommendationrequest_changelist", "admin"),
    ("admin:socialsongs_recommendationrequest_change", "admin"),
]


@pytest.mark.parametrize(("name", "door"), LOOKS, ids=[name for name, _ in LOOKS])
def test_reading_somebody_elses_private_post_is_recorded_once_an_hour(
    browser_of, alice, ready_post, name, door, monkeypatch
):
    now = timezone.now()
    monkeypatch.setattr("socialsongs.services.access.timezone", SimpleNamespace(now=lambda: now))
    url = reverse(name, args=arguments(name, ready_post, Song.objects.first()))
    for who in ("owner", "other", "staff", "curator"):
        b"".join(browser_of(who).get(url))
    assert not looks()
    for who in ("moderator", "superuser", "moderator"):
        answer = browser_of(who).get(url)
        b"".join(answer)
        assert answer.status_code == 200
    seen = (str(ready_post.pk), str(alice.pk), door)
    assert looks() == {("moderator", *seen), ("root", *seen)}
    assert PostAccess.objects.count() == 2
    now += timedelta(hours=1)
    b"".join(browser_of("moderator").get(url))
    assert PostAccess.objects.count() == 3
    Post.objects.update(visibility="public")
    PostAccess.objects.all().delete()
    b"".join(browser_of("moderator").get(url))
    assert not looks()


def test_records_outlive_post_owner_and_reader_and_nobody_changes_them(browser_of, cast, alice, ready_post):
    browser_of("moderator").get(reverse("socialsongs:post-page", args=[ready_post.pk]))
    (look,) = looks()
    alice.delete()
    cast["moderator"].delete()
    assert looks() == {look}
    desk, row = browser_of("superuser"), PostAccess.objects.get()
    assert str(ready_post.pk) in desk.get("/admin/socialsongs/postaccess/", {"q": str(ready_post.pk)}).content.decode()
    page = reverse("admin:socialsongs_postaccess_change", args=[row.pk])
    assert desk.get(page).status_code == 200
    assert desk.post(page, {"reader_name": "nobody"}).status_code == 403
    assert desk.post(reverse("admin:socialsongs_postaccess_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert desk.get("/admin/socialsongs/postaccess/add/").status_code == 403
    assert looks() == {look}


def test_the_page_says_who_sees_a_private_post(browser_of, ready_post):
    url = reverse("socialsongs:post-page", args=[ready_post.pk])
    for who, says in (("owner", "Only you and the moderators"), ("moderator", "Only the owner and the moderators")):
        page = browser_of(who).get(url).content.decode()
        assert says in page
        assert "recorded" in page


def test_reading_a_request_without_a_post_is_not_recorded(browser_of, ready_post):
    asked = RecommendationRequest.objects.create(text="rain")
    page = reverse("admin:socialsongs_recommendationrequest_change", args=[asked.pk])
    assert browser_of("moderator").get(page).status_code == 200
    assert not looks()
