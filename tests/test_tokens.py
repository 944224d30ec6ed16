"""Tokens of the stand-alone site: kept as digests, with a name, scopes and an end; made, listed and revoked."""

import importlib
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from socialsongs.models import Post
from socialsongs.site import tokens
from socialsongs.site.models import Token
from socialsongs.site.tokens import issue

from .test_api_posts import problem

pytestmark = pytest.mark.django_db
POSTS = "/api/v1/posts"
ALL = ["read", "write", "metrics"]


def with_token(text, keyword="Token"):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"{keyword} {text}")
    return client


@pytest.fixture
def make(alice):
    def made(name="mine", scopes=("read", "write"), days=1, user=alice):
        return issue(user=user, name=name, scopes=scopes, days=days)[1]

    return made


def manage(*arguments):
    out = StringIO()
    call_command("token", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


# Kept as a digest


def test_the_text_is_nowhere_in_the_database(make):
    text = make()
    (row,) = Token.objects.values()
    assert re.fullmatch("[0-9a-f]{40}", text)
    assert text not in str(row)
    assert not any(str(value).startswith(text[:16]) for value in row.values())


def test_somebody_has_several_and_each_works(make):
    for text in (make("phone"), make("script")):
        for keyword in ("Token", "token"):
            assert with_token(text, keyword).get(POSTS).status_code == 200


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text[:-1] + "x", lambda text: text + "0",
                                    lambda text: text[:15] + "0" * 25, lambda text: "é" * 40, lambda text: "",
                                    lambda text: "a b", lambda text: "\0" * 40, lambda text: "0" * 5000])  # fmt: skip
def test_texts_that_are_no_tokens_do_not_work(make, change):
    code = "authentication_failed"
    problem(with_token(change(make())).get(POSTS), 401, code)


def test_looking_one_up_is_one_query(make, django_assert_num_queries):
    text = make()
    for number in range(5):
        make(f"other {number}")
    with_token(text).get(POSTS)
    with django_assert_num_queries(1):
        tokens.TokenAuthentication().authenticate_credentials(text.encode())


def test_expired_tokens_and_those_of_inactive_accounts_do_not_work(make, alice):
    text = make()
    Token.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    problem(with_token(text).get(POSTS), 401, "authentication_failed")
    Token.objects.update(expiry=None)
    assert with_token(text).get(POSTS).status_code == 200
    alice.is_active = False
    alice.save()
    problem(with_token(text).get(POSTS), 401, "authentication_failed")


# Scopes


@pytest.mark.parametrize("scopes", [[], ["read"], ["write"], ["metrics"], ["read", "write"], ALL])
def test_each_scope_is_for_its_own(make, alice, upload, scopes):
    alice.user_permissions.set(Permission.objects.filter(codename="view_metrics"))
    api = with_token(make(scopes=scopes))
    answers = {
        "read": [api.get(POSTS), api.head(POSTS), api.get("/api/v1/songs")],
        "write": [api.post(POSTS, {"photos": upload()}), api.delete("/api/v1/taste")],
        "metrics": [api.get("/metrics/")],
    }
    for scope, given in answers.items():
        for answer in given:
            assert (answer.status_code == 403) == (scope not in scopes), scope
    if "read" not in scopes:
        assert "read" in problem(api.get(POSTS), 403, "insufficient_scope")["detail"]
    assert Post.objects.count() == ("write" in scopes)


def test_a_scope_gives_no_right_that_the_account_lacks(make):
    problem(with_token(make(scopes=ALL)).get("/metrics/"), 403, "permission_denied")


# Last use


def test_the_last_use_is_noted_once_a_minute(make):
    api = with_token(make())
    assert Token.objects.get().last_used_at is None
    api.get(POSTS)
    first = Token.objects.get().last_used_at
    api.get(POSTS)
    assert Token.objects.get().last_used_at == first
    earlier = first - timedelta(minutes=2)
    Token.objects.update(last_used_at=earlier)
    api.get(POSTS)
    assert Token.objects.get().last_used_at > earlier


def test_where_nothing_can_be_written_a_token_still_reads(make, caplog):
    text = make()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'read only' USING ERRCODE = '25006'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON socialsongs_site_token EXECUTE FUNCTION pg_temp.refuse()"
        )
    with pytest.raises(DatabaseError), transaction.atomic():
        Token.objects.update(last_used_at=None)
    assert with_token(text).get(POSTS).status_code == 200
    assert "could not be recorded" in caplog.text


# The command


def test_the_command_makes_lists_and_revokes(alice, bob):
    text = manage("create", "alice", "--name", "backup", "--scopes", "read", "--days", "30").strip()
    assert with_token(text).get(POSTS).status_code == 200
    assert (Token.objects.get().expiry - timezone.now()).days == 29
    manage("create", "alice", "--name", "ever", "--days", "0")
    manage("create", "bob", "--name", "backup")
    listed = manage("list")
    assert "alice\tbackup\tread\tuntil 2" in listed
    assert "alice\tever\tread+write\tuntil it is revoked\tnever used" in listed
    assert text not in listed
    assert "bob" not in manage("list", "alice")
    assert manage("revoke", "alice", "--name", "backup") == "1 revoked.\n"
    problem(with_token(text).get(POSTS), 401, "authentication_failed")
    assert manage("revoke", "alice", "--all") == "1 revoked.\n"
    assert Token.objects.get().user == bob


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "nobody", "--name", "x"], "no account 'nobody'"),
        (["create", "alice", "--name", "taken"], "already"),
        (["create", "alice", "--name", "x", "--days", "-1"], "from 0"),
        (["create", "alice", "--name", "x", "--days", "999999999"], "from 0"),
        (["create", "alice", "--name", ""], "1 to 100"),
        (["create", "alice", "--name", "x", "--scopes", "all"], "invalid choice"),
        (["revoke", "alice", "--name", "none"], "no token 'none'"),
        (["revoke", "alice"], "required"),
    ],
)
def test_the_command_refuses_wrong_options(make, arguments, says):
    make("taken")
    with pytest.raises(CommandError, match=says):
        manage(*arguments)
    assert Token.objects.count() == 1


# The admin


ADD = "/admin/socialsongs_site/token/add/"


def test_the_admin_shows_a_new_token_once(client, staff, alice):
    client.force_login(staff)
    form = {"user": alice.pk, "name": "script", "scopes": ["read"], "days": "7"}
    made = client.post(ADD, form)
    text = re.search("<code>([0-9a-f]{40})</code>", made.content.decode())[1]
    assert "no-store" in made.headers["Cache-Control"]
    assert with_token(text).get(POSTS).status_code == 200
    row = Token.objects.get()
    assert (row.user, row.name, row.scopes, (row.expiry - timezone.now()).days) == (alice, "script", ["read"], 6)
    for page in ("/admin/socialsongs_site/token/", f"/admin/socialsongs_site/token/{row.pk}/change/"):
        assert "script" in client.get(page).content.decode()
        assert text not in client.get(page).content.decode()
    assert "already exists" in client.post(ADD, form).content.decode()
    assert list(client.post(ADD, {**form, "name": "b", "scopes": []}).context["adminform"].form.errors) == ["scopes"]
    client.post(f"/admin/socialsongs_site/token/{row.pk}/delete/", {"post": "yes"})
    problem(with_token(text).get(POSTS), 401, "authentication_failed")


def test_who_is_no_superuser_makes_and_sees_their_own_alone(client, staff, bob, make):
    make("of alice")
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label="socialsongs_site"))
    client.force_login(bob)
    for user, count in ((staff, 1), (bob, 2)):
        client.post(ADD, {"user": user.pk, "name": "up", "scopes": ["read"], "days": ""})
        assert Token.objects.count() == count
    listed = client.get("/admin/socialsongs_site/token/").content.decode()
    assert "up" in listed
    assert "of alice" not in listed
    other = Token.objects.get(name="of alice")
    client.post(f"/admin/socialsongs_site/token/{other.pk}/delete/", {"post": "yes"})
    assert Token.objects.filter(pk=other.pk).exists()


# A new password


@pytest.mark.parametrize("ticked", [True, False])
def test_a_new_password_revokes_tokens_when_asked(make, alice, bob, ticked):
    text, other = make(), make(user=bob)
    alice.set_password("seven grey herons")
    alice.save()
    mine = Client()
    mine.force_login(alice)
    assert "revoke the account" in mine.get("/accounts/password/").content.decode()
    new = {
        "old_password": "seven grey herons",
        "new_password1": "nine red lanterns",
        "new_password2": "nine red lanterns",
    }
    done = mine.post("/accounts/password/", new | ({"revoke_tokens": "on"} if ticked else {}), follow=True)
    assert "Your password is changed" in done.content.decode()
    assert with_token(text).get(POSTS).status_code == (401 if ticked else 200)
    assert with_token(other).get(POSTS).status_code == 200


def test_a_refused_password_revokes_nothing(make, alice):
    text = make()
    alice.set_password("seven grey herons")
    alice.save()
    mine = Client()
    mine.force_login(alice)
    new = {"old_password": "wrong", "new_password1": "nine red lanterns", "new_password2": "nine red lanterns"}
    assert mine.post("/accounts/password/", {**new, "revoke_tokens": "on"}).status_code == 200
    assert with_token(text).get(POSTS).status_code == 200


@pytest.mark.parametrize("ticked", [True, False])
def test_in_the_admin_it_can_be_asked_for_too(client, staff, make, alice, ticked):
    text = make()
    client.force_login(staff)
    page = f"/admin/auth/user/{alice.pk}/password/"
    assert 'name="revoke_tokens"' in client.get(page).content.decode()
    new = {"usable_password": "true", "password1": "nine red lanterns", "password2": "nine red lanterns"}
    client.post(page, {**new, "set-password": "1"} | ({"revoke_tokens": "on"} if ticked else {}))
    alice.refresh_from_db()
    assert alice.check_password("nine red lanterns")
    assert with_token(text).get(POSTS).status_code == (401 if ticked else 200)
    assert client.get("/admin/password_change/").headers["Location"] == "/accounts/password/"


# Tokens from before


def test_tokens_of_the_former_kind_go_on_working_and_are_no_longer_kept(alice, staff):
    keys = {person: f"{number}" * 40 for number, person in enumerate((alice, staff))}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamptz, user_id int)")
        for person, key in keys.items():
            cursor.execute("INSERT INTO authtoken_token VALUES (%s, '2025-01-02', %s)", [key, person.pk])
        migration = importlib.import_module("socialsongs.site.migrations.0002_take_over_tokens")
        migration.take_over(apps, type("Editor", (), {"connection": connection}))
        cursor.execute("SELECT count(*) FROM authtoken_token")
        assert cursor.fetchone() == (0,)
    for person, key in keys.items():
        assert with_token(key).get(POSTS).status_code == 200
        row = Token.objects.get(user=person)
        assert key not in str(Token.objects.filter(pk=row.pk).values())
        assert (row.expiry, row.created.year) == (None, 2025)
    assert with_token(keys[staff]).get("/metrics/").status_code == 200
