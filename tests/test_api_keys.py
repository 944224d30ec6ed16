"""A platform that is not written in Django: API keys, scopes, people by their external ids, rates."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.core.validators import validate_email
from django.db import connection, models
from django.db.models import ProtectedError
from django.test import override_settings
from django.test.utils import isolate_apps
from django.urls import get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from socialsongs.api.base import ApiView, UnknownAddress
from socialsongs.errors import UnknownUser
from socialsongs.models import ApiClient, ApiKey, ExternalUser, Feedback, Post, PostAccess, Scope, Taste
from socialsongs.services import external_users, posts
from socialsongs.services.api_keys import make_key, revoke_key
from socialsongs.services.external_users import delete_client
from socialsongs.services.taste import offer_taste

pytestmark = pytest.mark.django_db

POSTS, KEY, USER, SONGS = "/api/v1/posts", "/api/v1/key", "/api/v1/user", "/api/v1/songs"


@pytest.fixture
def make_client():
    """Return a function that makes an API client; by default it may do everything."""

    def make(name="Pictogram", **values):
        return ApiClient.objects.create(**{"name": name, "scopes": Scope.values, **values})

    return make


@pytest.fixture
def platform(make_client):
    return make_client()


def key_of(client, scopes=Scope.values, expires_at=None):
    """Return a new key of a client and its text."""
    return make_key(client=client, name="tests", scopes=scopes, expires_at=expires_at)


def with_text(text, user=None):
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {text}", **({} if user is None else {"HTTP_SOCIALSONGS_USER": user}))
    return api


def on_behalf(client, user=None, **of_key):
    """Return an HTTP client with a new key, which acts for a person."""
    return with_text(key_of(client, **of_key)[1], user)


def refused(response, status, code):
    assert (response.status_code, response.json()["code"]) == (status, code), response.content
    return response.json()["detail"]


def post_of(api, upload, **values):
    response = api.post(POSTS, {"photos": upload(), **values})
    assert response.status_code == 202, response.content
    return response.json()


# Keys


def test_a_key_acts_for_a_person_whose_account_comes_with_the_first_request(platform, upload):
    api = on_behalf(platform, "user-17")
    posted = post_of(api, upload, caption="By the sea")
    assert [post["id"] for post in api.get(POSTS).json()["results"]] == [posted["id"]]
    person = ExternalUser.objects.get()
    assert (person.client, person.external_id, person.made) == (platform, "user-17", True)
    assert Post.objects.get().owner == person.user
    assert not person.user.has_usable_password()
    assert "user-17" not in person.user.get_username()
    assert on_behalf(platform, "user-18").get(POSTS).json()["results"] == []


def test_only_a_digest_is_stored(platform):
    key, text = key_of(platform)
    assert re.fullmatch(rf"ss_{key.prefix}_[0-9a-f]{{64}}", text)
    stored = str(ApiKey.objects.values().get())
    assert sha256(text.encode()).hexdigest() in stored
    assert text[-64:] not in stored


def test_a_key_that_does_not_work_says_why(platform, make_client):
    key, text = key_of(platform)
    _, expired = key_of(platform, expires_at=timezone.now() - timedelta(seconds=1))
    _, of_inactive = key_of(make_client("Gone", active=False))
    assert with_text(text).get(KEY).status_code == 200
    for wrong in (text[:-1] + "x", text[:-1], f"{text}0", "ss_", f"ss_{'0' * 12}_{'0' * 64}", f"{text} {text}"):
        refused(with_text(wrong).get(KEY), 401, "invalid_key")
    # Another secret for a prefix that exists
    refused(with_text(text[:16] + text[16:][::-1]).get(KEY), 401, "invalid_key")
    refused(with_text(expired).get(KEY), 401, "key_expired")
    refused(with_text(of_inactive).get(KEY), 401, "client_inactive")
    revoke_key(key=key)
    response = with_text(text).get(POSTS)
    assert key.prefix in refused(response, 401, "key_revoked")
    assert response["WWW-Authenticate"] == "Bearer"


def test_the_own_logins_of_the_host_go_on_and_cannot_name_a_person(api_of, alice, platform):
    assert api_of(None).get(POSTS)["WWW-Authenticate"] == "Token"
    refused(api_of(alice).get(POSTS, HTTP_SOCIALSONGS_USER="user-17"), 403, "key_needed")
    for method in ("get", "delete"):
        answer = getattr(api_of(alice), method)(KEY if method == "get" else USER)
        assert "Bearer ss_" in refused(answer, 403, "key_needed")
    response = api_of(None).get(KEY)
    refused(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    assert not ExternalUser.objects.exists()


@pytest.mark.parametrize("sent", ["Bearer", "Bearer ", "bearer foo", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Token ", ""])
@pytest.mark.parametrize("path", [KEY, POSTS, SONGS])
def test_what_is_no_key_or_is_sent_in_another_way_is_told_the_right_one(platform, sent, path):
    _, text = key_of(platform)
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=sent if "earer" in sent else f"{sent}{text}")
    response = api.get(path)
    assert "Authorization: Bearer ss_" in refused(response, 401, "invalid_key")
    assert response["WWW-Authenticate"] == ("Bearer" if "earer" in sent or path == KEY else "Token")
    api.credentials(HTTP_AUTHORIZATION=f"bEARER  {text}")
    assert api.get(KEY).status_code == 200


def test_a_key_may_do_what_its_scopes_and_its_client_say(platform, upload):
    reader = on_behalf(platform, "1", scopes=[Scope.POSTS_READ])
    assert reader.get(POSTS).status_code == 200
    assert "posts:write" in refused(reader.post(POSTS, {"photos": upload()}), 403, "insufficient_scope")
    assert "songs:read" in refused(reader.get(SONGS), 403, "insufficient_scope")
    api = on_behalf(platform, "1")
    assert api.get(KEY).json()["scopes"] == sorted(Scope.values)
    ApiClient.objects.update(scopes=[Scope.POSTS_READ])
    assert api.get(KEY).json()["scopes"] == ["posts:read"]
    refused(api.get(SONGS), 403, "insufficient_scope")


def views():
    for pattern in get_resolver("socialsongs.api.urls").url_patterns:
        view = getattr(pattern.callback, "view_class", None)
        if view is not None and issubclass(view, ApiView) and view is not UnknownAddress:
            yield view


def test_every_operation_says_which_scope_it_needs():
    found = set(views())
    assert len(found) >= 15
    for view in found:
        methods = {method.upper() for method in view.http_method_names if hasattr(view, method)} - {"OPTIONS", "HEAD"}
        assert set(view.scopes) == methods, view


def test_what_is_not_for_keys_is_refused(platform, monkeypatch):
    view = next(view for view in views() if view.__name__ == "Songs")
    monkeypatch.setattr(view, "scopes", {})
    refused(on_behalf(platform).get(SONGS), 403, "permission_denied")


def test_without_a_person_a_key_reads_the_catalogue_alone(platform, make_song):
    song = make_song()
    api = on_behalf(platform)
    assert api.get(SONGS).json()["results"][0]["id"] == str(song.pk)
    assert api.get(f"{SONGS}/{song.pk}").status_code == 200
    assert api.get(KEY).json()["client"] == "Pictogram"
    for address in (POSTS, "/api/v1/taste", f"{SONGS}/{song.pk}/posts"):
        assert "SocialSongs-User" in refused(api.get(address), 400, "user_needed")
    assert api.put(POSTS).status_code == 405
    assert api.get("/api/v1/nothing").status_code == 404
    assert not ExternalUser.objects.exists()


def test_the_last_use_is_written_once_an_hour(platform, django_assert_num_queries):
    key, text = key_of(platform)
    with_text(text).get(KEY)
    key.refresh_from_db()
    assert timezone.now() - timedelta(hours=1) < key.last_used_at <= timezone.now()
    assert (key.last_used_at.minute, key.last_used_at.second) == (0, 0)
    with django_assert_num_queries(1):
        with_text(text).get(KEY)
    ApiKey.objects.update(last_used_at=key.last_used_at - timedelta(hours=1))
    with_text(text).get(KEY)
    assert ApiKey.objects.get().last_used_at == key.last_used_at


# The ids of people


@pytest.mark.parametrize(
    "external_id",
    [
        "17",
        "a/b?c#d",
        "..",
        "auth0|5f7c",
        "ann@example.com",
        "100%",
        "Jürgen",
        "林",
        "😀",
        "x" * 255,
        "林" * 255,
    ],
)
def test_any_visible_id_is_kept_as_it_was_given(platform, external_id):
    assert on_behalf(platform, quote(external_id, safe="")).get(POSTS).status_code == 200
    assert ExternalUser.objects.get().external_id == external_id


def test_an_id_in_plain_utf_8_is_the_same_person(platform):
    """As curl sends it: Django reads each byte as one character."""
    for sent in (quote("Jürgen"), "Jürgen".encode().decode("latin-1")):
        assert on_behalf(platform, sent).get(POSTS).status_code == 200
    assert ExternalUser.objects.get().external_id == "Jürgen"


def test_answers_are_kept_for_one_person_alone(platform, upload):
    api = on_behalf(platform, "17")
    photo = post_of(api, upload)["photos"][0]["url"]
    for address in (POSTS, photo):
        response = api.get(address)
        assert b"".join(response)
        assert {"Authorization", "SocialSongs-User"} <= set(response["Vary"].split(", "))


ODD = {
    "empty": "",
    "sent twice": "17, 18",
    "a space": "%20",
    "a space at the end": "17%20",
    "a space of another kind": "1%C2%A07",
    "too long": "x" * 256,
    "ten kilobytes": "x" * 10_000,
    "NUL": "17%00",
    "a new line": "17%0A18",
    "right to left": quote("17\u202e81"),
    "an isolate": quote("\u206617\u2069"),
    "a joiner": quote("a\u200db"),
    "no space": quote("a\u200bb"),
    "a byte order mark": quote("\ufeff17"),
    "half of a pair": "%ED%A0%BD",
    "an overlong form": "%C0%AF",
    "no UTF-8": "%FF",
    "an escape cut off": "100%",
    "no escape": "100%zz",
    "Latin-1": "J\xfcrgen",
    "decomposed": quote("Ju\u0308rgen"),
    "another sign for a letter": quote("\u212b"),
    "for private use": quote("\ue000"),
    "no character": quote("\ufdd0"),
    "beyond the last": "%F4%90%80%80",
}


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD)
def test_an_odd_id_is_refused_by_name(platform, sent):
    for api, ask in ((on_behalf(platform, sent), "get"), (on_behalf(platform, sent), "delete")):
        refused(getattr(api, ask)(POSTS if ask == "get" else USER), 400, "invalid_external_id")
    assert not ExternalUser.objects.exists()
    assert get_user_model().objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_first_requests_at_the_same_time_make_one_account(platform):
    _, text = key_of(platform)

    def ask(_):
        try:
            return with_text(text, "17").get(POSTS).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(ask, range(12))) == {200}
    assert ExternalUser.objects.count() == get_user_model().objects.count() == 1


# A function of the host gives people their accounts


def own_account(*, client, external_id):
    user = get_user_model().objects.filter(username=external_id).first()
    if user is None:
        raise UnknownUser(f"There is no account {external_id}.")
    return user, False


OWN = override_settings(SOCIALSONGS={"EXTERNAL_USER": f"{__name__}.own_account"})


@OWN
def test_a_host_may_name_accounts_of_its_own(platform, alice, upload, ready_post):
    api = on_behalf(platform, "alice")
    assert [post["id"] for post in api.get(POSTS).json()["results"]] == [str(ready_post.pk)]
    for address in (POSTS, KEY):
        assert "nobody" in refused(on_behalf(platform, "nobody").get(address), 404, "unknown_user")
    offer_taste(user=alice)
    assert api.delete(USER).status_code == 204
    assert not Post.objects.exists()
    assert not Taste.objects.exists()
    assert set(Feedback.objects.values_list("user", flat=True)) <= {None}
    alice.refresh_from_db()  # the account is the host's


@OWN
def test_a_key_never_has_the_rights_of_staff(platform, staff, ready_post):
    """Also when it acts for them, so that every access that is recorded is one of a person who logged in."""
    api = on_behalf(platform, "staff")
    refused(api.get(f"{POSTS}/{ready_post.pk}"), 404, "not_found")
    refused(api.get(f"{POSTS}/{ready_post.pk}/photos/0"), 404, "not_found")
    assert not PostAccess.objects.exists()


@OWN
def test_a_key_does_not_act_for_an_account_that_is_turned_off(platform, alice):
    get_user_model().objects.update(is_active=False)
    refused(on_behalf(platform, "alice").get(POSTS), 403, "user_inactive")


@isolate_apps("socialsongs")
def test_a_user_model_of_another_kind_gets_an_account_too(platform, monkeypatch):
    """Its name is an e-mail address, or short and beside an address that must be unique."""

    class ByAddress(AbstractBaseUser):
        email = models.EmailField(unique=True)
        USERNAME_FIELD = "email"

        class Meta:
            app_label = "socialsongs"

    class ByShortName(AbstractBaseUser):
        nick = models.CharField(max_length=20, unique=True)
        email = models.EmailField(unique=True)
        USERNAME_FIELD = "nick"

        class Meta:
            app_label = "socialsongs"

    class ByMore(AbstractBaseUser):
        nick = models.CharField(max_length=150, unique=True)
        born = models.DateField()
        USERNAME_FIELD = "nick"

        class Meta:
            app_label = "socialsongs"

    for model in (ByAddress, ByShortName, ByMore):
        with connection.schema_editor() as editor:
            editor.create_model(model)
        monkeypatch.setattr(external_users, "get_user_model", lambda model=model: model)
        if model is ByMore:
            with pytest.raises(ImproperlyConfigured, match="EXTERNAL_USER"):
                external_users.make_account(client=platform, external_id="17")
            continue
        for _ in range(2):
            account, made = external_users.make_account(client=platform, external_id="17")
            assert made
            assert not account.has_usable_password()
            account.refresh_from_db()
            validate_email(account.email)
        assert model.objects.count() == 2


@override_settings(SOCIALSONGS={"EXTERNAL_USER": "socialsongs.nothing"})
def test_a_function_that_is_not_there_is_said_before_the_start():
    assert [error.id for error in run_checks() if "EXTERNAL_USER" in error.msg] == ["socialsongs.E008"]


# Tenants are apart


@pytest.fixture
def two(make_client, upload):
    """Return clients of two platforms whose people have the same id, and posts of the first, private and public."""
    one, other = make_client("One"), make_client("Other")
    api = on_behalf(one, "17")
    return one, other, [post_of(api, upload, visibility=visibility) for visibility in ("private", "public")]


def reads(post):
    return [f"{POSTS}/{post['id']}", f"{POSTS}/{post['id']}/photos/0", f"{POSTS}/{post['id']}/photos/0?side=192"]


def test_tenants_do_not_see_each_other_s_posts(two, api_of, bob):
    one, other, made = two
    for post in made:
        others = [on_behalf(other, "17"), on_behalf(other, "18"), api_of(bob)]
        for api in [*others, *([on_behalf(one, "18")] if post["visibility"] == "private" else [])]:
            for address in reads(post):
                refused(api.get(address), 404, "not_found")
        for api in others:
            refused(api.delete(f"{POSTS}/{post['id']}"), 404, "not_found")
            refused(api.post(f"{POSTS}/{post['id']}/recommendations", {}, format="json"), 404, "not_found")
    for address in reads(made[1]):
        response = on_behalf(one, "18").get(address)
        assert response.status_code == 200
        assert b"".join(response)
    assert Post.objects.count() == 2


def test_public_posts_are_shared_when_the_client_says_so(ready_post, two, api_of, bob, make_client):
    one, other, (private, public) = two
    Post.objects.filter(pk=ready_post.pk).update(visibility="public")
    own = f"{POSTS}/{ready_post.pk}"
    refused(on_behalf(one, "17").get(own), 404, "not_found")
    ApiClient.objects.filter(pk=one.pk).update(shares_public_posts=True)
    assert on_behalf(one, "17").get(own).status_code == 200
    assert api_of(bob).get(reads(public)[0]).status_code == 200
    assert on_behalf(make_client("Third", shares_public_posts=True), "1").get(reads(public)[0]).status_code == 200
    refused(on_behalf(other, "17").get(reads(public)[0]), 404, "not_found")
    refused(api_of(bob).get(reads(private)[0]), 404, "not_found")


# Deletion


def test_all_of_a_person_can_be_deleted(ready_post, two):
    one, other, _ = two
    api = on_behalf(one, "17")
    assert on_behalf(other, "17").get(POSTS).status_code == 200
    people = get_user_model().objects.count()
    assert api.delete(USER).status_code == 204
    assert set(Post.objects.all()) == {ready_post}
    assert get_user_model().objects.count() == people - 1
    assert ExternalUser.objects.get().client == other
    refused(api.delete(USER), 404, "unknown_user")
    refused(on_behalf(other, "18").delete(USER), 404, "unknown_user")
    refused(on_behalf(other).delete(USER), 400, "user_needed")
    refused(on_behalf(other, "17", scopes=[Scope.POSTS_WRITE]).delete(USER), 403, "insufficient_scope")
    assert api.get(POSTS).json()["results"] == []  # anew


def test_who_is_deleted_during_their_upload_leaves_nothing(platform, upload, monkeypatch):
    api = on_behalf(platform, "17")
    checked, files = posts.clean_photo, set(Path(settings.MEDIA_ROOT).rglob("*.jpg"))

    def meanwhile(*arguments):
        photo = checked(*arguments)
        assert api.delete(USER).status_code == 204
        return photo

    monkeypatch.setattr(posts, "clean_photo", meanwhile)
    refused(api.post(POSTS, {"photos": upload()}, HTTP_IDEMPOTENCY_KEY="1"), 404, "unknown_user")
    assert not Post.objects.exists()
    assert set(Path(settings.MEDIA_ROOT).rglob("*.jpg")) == files


def test_a_client_is_deleted_with_its_people(ready_post, two):
    one, other, _ = two
    on_behalf(other, "17").get(POSTS)
    with pytest.raises(ProtectedError):  # its accounts would stay
        one.delete()
    delete_client(client=one)
    assert set(Post.objects.all()) == {ready_post}
    assert list(ApiClient.objects.all()) == [other]
    assert ApiKey.objects.exclude(client=other).count() == 0
    assert get_user_model().objects.count() == 2  # alice, and 17 of the other


# Rates


def limits(response):
    """Return (policy, most, seconds, left) of each rate that an answer names."""
    policies = re.findall(r'"(\w+)";q=(\d+);w=(\d+)', response["RateLimit-Policy"])
    left = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', response["RateLimit"])
    found = []
    for (name, most, seconds), (same, rest, renews) in zip(policies, left, strict=True):
        assert name == same
        assert 0 < int(renews) <= int(seconds)
        found.append((name, int(most), int(seconds), int(rest)))
    return found


@override_settings(SOCIALSONGS={"CLIENT_RATE": "5/minute", "READ_RATE": "3/hour"})
def test_rates_are_by_client_and_by_person(platform, make_client):
    first, second, other = on_behalf(platform, "1"), on_behalf(platform, "2"), on_behalf(make_client("Other"), "1")
    assert limits(first.get(POSTS)) == [("client", 5, 60, 4), ("read", 3, 3600, 2)]
    assert limits(first.get(SONGS)) == [("client", 5, 60, 3), ("read", 3, 3600, 1)]
    assert limits(second.get(POSTS)) == [("client", 5, 60, 2), ("read", 3, 3600, 2)]
    first.get(POSTS)
    for _ in range(3):
        response = first.get(POSTS)  # the person's rate; the client's is not used up by that
        refused(response, 429, "throttled")
        assert limits(response) == [("client", 5, 60, 1), ("read", 3, 3600, 0)]
    assert limits(second.get(POSTS)) == [("client", 5, 60, 0), ("read", 3, 3600, 1)]
    renews = re.search(r'"read";r=0;t=(\d+)', response["RateLimit"])[1]
    assert 0 <= int(response["Retry-After"]) - int(renews) <= 1
    response = on_behalf(platform, "3").get(POSTS)  # the client's, by another key for somebody else
    refused(response, 429, "throttled")
    assert limits(response) == [("client", 5, 60, 0)]
    assert not ExternalUser.objects.filter(external_id="3").exists()
    assert limits(other.get(POSTS)) == [("client", 5, 60, 4), ("read", 3, 3600, 2)]


def test_a_client_may_have_a_rate_of_its_own(make_client, api_of, alice):
    api = on_behalf(make_client(rate="2/day"))
    assert limits(api.get(KEY)) == [("client", 2, 86400, 1)]
    refused(api.post(POSTS), 400, "user_needed")  # what is refused counts, too
    refused(api.get(KEY), 429, "throttled")
    cache.clear()
    assert limits(api_of(alice).get(POSTS)) == [("read", 1200, 3600, 1199)]
    assert "RateLimit" not in api_of(None).get(POSTS)


# The admin


ADD_KEY, KEYS = "/admin/socialsongs/apikey/add/", "/admin/socialsongs/apikey/"


def test_the_admin_shows_a_new_key_once(client, staff, platform):
    client.force_login(staff)
    form = {"client": platform.pk, "name": "backend", "scopes": ["posts:read", "posts:write"], "days": "30"}
    page = client.post(ADD_KEY, form)
    (text,) = re.findall(r"ss_\w{77}", page.content.decode())
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    assert text[16:] not in str(page.cookies)
    assert with_text(text).get(KEY).json()["scopes"] == ["posts:read", "posts:write"]
    key = ApiKey.objects.get()
    assert key.created_by == staff
    assert 29 <= (key.expires_at - timezone.now()).days <= 30
    for address in (KEYS, f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/history/", "/admin/"):
        page = client.get(address).content.decode()
        assert text[16:] not in page
        assert key.digest not in page
    listed = client.get(KEYS).content.decode()
    assert key.prefix in listed
    assert f"{key.last_used_at:%-I}" in listed
    client.post(f"{KEYS}{key.pk}/change/", {"name": "other", "scopes": ["songs:write"]})
    assert ApiKey.objects.filter(name="backend", digest=key.digest, scopes=key.scopes).exists()


def test_the_admin_revokes_keys_and_gives_none_more_than_its_client_may(client, staff, platform, make_client):
    client.force_login(staff)
    key, text = key_of(platform)
    client.post(KEYS, {"action": "revoke", "_selected_action": [key.pk]})
    refused(with_text(text).get(KEY), 401, "key_revoked")
    assert "revoked" in client.get(KEYS).content.decode()
    small = make_client("Small", scopes=["songs:read"])
    page = client.post(ADD_KEY, {"client": small.pk, "name": "x", "scopes": ["songs:read", "posts:read"], "days": ""})
    assert "Small may not have posts:read" in page.content.decode()
    assert not small.keys.exists()


def test_the_admin_deletes_clients_and_people_with_their_data(client, ready_post, two, staff):
    one, other, _ = two
    on_behalf(one, "18").get(POSTS)
    client.force_login(staff)
    person = ExternalUser.objects.get(client=one, external_id="17")
    address = f"/admin/socialsongs/externaluser/{person.pk}/delete/"
    assert "eople with all their data" in client.get(address).content.decode()
    client.post(address, {"post": "yes"})
    assert Post.objects.get() == ready_post
    client.post(
        "/admin/socialsongs/apiclient/", {"action": "delete_selected", "_selected_action": [one.pk], "post": "yes"}
    )
    assert list(ApiClient.objects.all()) == [other]
    assert get_user_model().objects.count() == 2  # alice and staff


@pytest.mark.parametrize(
    ("field", "value"),
    [("rate", "often"), ("rate", "0/hour"), ("name", "a\u202eb"), ("name", "a\0b"), ("name", "x" * 101)],
)
def test_the_admin_refuses_odd_clients(client, staff, field, value):
    client.force_login(staff)
    form = {"name": "New", "scopes": ["posts:read"], "active": "on", field: value}
    page = client.post("/admin/socialsongs/apiclient/add/", form)
    assert list(page.context["adminform"].form.errors) == [field]
    assert not ApiClient.objects.exists()


# The command


def run(*arguments):
    out, err = StringIO(), StringIO()
    call_command("socialsongs_api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_makes_lists_and_revokes():
    text, said = run("create", "Pictogram", "--name", "backend", "--days", "0")
    assert "new API client" in said
    assert with_text(text.strip(), "17").get(POSTS).status_code == 200
    key = ApiKey.objects.get()
    assert text[16:].strip() not in run("list")[0]
    line = run("list", "Pictogram")[0].split("\t")
    assert line[:3] == ["Pictogram", "backend", key.prefix]
    assert line[3:5] == ["+".join(sorted(set(Scope.values) - {"songs:write"})), "until it is revoked"]
    assert line[5].startswith("used 20")
    reader, said = run("create", "Pictogram", "--name", "reader", "--scopes", "songs:read")
    assert "new API client" not in said
    refused(with_text(reader.strip(), "17").get(POSTS), 403, "insufficient_scope")
    assert run("revoke", key.prefix)[0] == "1 revoked.\n"
    refused(with_text(text.strip()).get(KEY), 401, "key_revoked")
    assert run("revoke", "--client", "Pictogram")[0] == "1 revoked.\n"
    refused(with_text(reader.strip()).get(KEY), 401, "key_revoked")
    assert "revoked 20" in run("list")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "Pictogram", "--name", "x", "--days", "-1"], "--days must be"),
        (["create", "Pictogram", "--name", "x", "--scopes", "songs:write"], "may not have songs:write"),
        (["create", "Pictogram", "--name", ""], "name:"),
        (["create", "Pictogram", "--name", "x" * 101], "name:"),
        (["create", "a\udc80", "--name", "x"], "U\\+DC80"),
        (["create", "a\u200b", "--name", "x"], "U\\+200B"),
        (["list", "Nobody"], "no API client"),
        (["revoke", "abc"], "no valid key"),
        (["revoke", "--client", "Nobody"], "no API client"),
    ],
)
def test_the_command_says_what_is_wrong(make_client, arguments, said):
    make_client(scopes=["songs:read"])
    with pytest.raises(CommandError, match=said):
        run(*arguments)
    assert not ApiKey.objects.exists()
    assert ApiClient.objects.count() == 1
