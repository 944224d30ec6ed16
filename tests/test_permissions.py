"""Each cell of the table of permissions; a new address without a row fails."""

import re
from fnmatch import fnmatch
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from socialsongs.models import (
    ApiClient,
    ApiKey,
    Event,
    ExternalUser,
    Feedback,
    ModelRelease,
    Post,
    PostAccess,
    RecommendationRequest,
    Rule,
    Scope,
    State,
    Suggestion,
    WebhookDelivery,
    Worker,
)
from socialsongs.services.api_keys import make_key
from socialsongs.services.external_users import get_external_user
from socialsongs.services.taste import offer_taste
from socialsongs.services.webhooks import add_endpoint
from socialsongs.site.tokens import issue

from . import permissions
from .clips import wav
from .permissions import PARTS, RIGHTS, STAFF, TABLE

pytestmark = pytest.mark.django_db
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def routes(resolver, prefix=""):
    """Yield the route and view of every address of the URLconf; the order of the admin's apps is left out."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        else:
            yield re.sub(r"\(\?P(<app_label>)[^)]*\)", r"\1", route), entry.callback


def test_every_address_and_method_of_the_api_has_a_row():
    found = {(row.route, row.method) for row in TABLE}
    listed = {route for route, _ in found}
    missing = {route for route, _ in routes(get_resolver()) if route not in listed}
    assert not missing, "Add rows for these addresses to tests/permissions.py, then run `make permissions`"
    for route, view in routes(get_resolver("socialsongs.api.urls")):
        methods = {name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view.cls, name)}
        missing = {(f"api/{route}", method) for method in methods if "schema" not in route} - found
        assert not missing or "(?!" in route, "Add rows for these methods to tests/permissions.py"


def test_every_row_is_about_an_address():
    assert {row.route for row in TABLE} == {route for route, _ in routes(get_resolver())}


def test_every_action_of_the_admin_has_a_row(rf, staff):
    from django.contrib import admin

    request = rf.get("/")
    request.user = staff
    listed = {(row.route, row.action) for row in TABLE if row.action}
    for model, registered in admin.site._registry.items():
        base = f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert {(base, name) for name in registered.get_actions(request)} <= listed


@pytest.fixture
def cast(ready_post, alice, bob, django_user_model):
    people = {"owner": alice, "other": bob, "superuser": django_user_model.objects.create_superuser("root")}
    known = list(Permission.objects.all())
    for name, patterns in RIGHTS.items():
        people[name] = django_user_model.objects.create_user(name, is_staff=name in STAFF)
        rights = [right for right in known if any(fnmatch(right.codename, pattern) for pattern in patterns)]
        people[name].user_permissions.set(rights)
    clients = {"visitor": Client()}
    for name, person in people.items():
        offer_taste(user=person)
        clients[name] = Client()
        clients[name].force_login(person)
    platform, other = (ApiClient.objects.create(name=name, scopes=Scope.values) for name in ("Pictogram", "Other"))
    ExternalUser.objects.create(client=platform, external_id="17", user=alice, made=False)
    offer_taste(user=get_external_user(client=other, external_id="17").user)
    for name, of, person in (("key", platform, "17"), ("tenant", other, "17"), ("nobody", platform, None)):
        _, text = make_key(client=of, name=name, scopes=Scope.values, expires_at=None)
        named = {} if person is None else {"SocialSongs-User": person}
        clients[name] = Client(headers={"Authorization": f"Bearer {text}", **named})
    return clients


@pytest.fixture
def rows(cast, ready_post, make_song, alice, django_user_model):
    """Return the ids of rows of every kind."""
    song = ready_post.requests.get().suggestions.get(rank=1).song
    draft = make_song("A draft", status="draft")
    for each in (song, draft):
        each.preview_file.save("a.wav", ContentFile(wav()))
    asked = ready_post.requests.get()
    further = RecommendationRequest.objects.create(post=ready_post, state=State.FAILED, text="rain")
    text = RecommendationRequest.objects.create(owner=alice, state=State.READY, text="rain")
    Suggestion.objects.create(request=text, song=song, release=asked.release, rank=1, score=1.0)
    platform = ApiClient.objects.get(name="Pictogram")
    endpoint, _ = add_endpoint(url="https://example.org/hooks", client=platform)
    common = {"username": "alice", "ip_address": "192.0.2.1", "user_agent": "x"}
    token, _ = issue(user=alice, name="backup", scopes=["read"], days=1)
    return {
        "post": ready_post,
        "recommendationrequest": further,
        "asked": asked,
        "text": text,
        "song": song,
        "draft": draft,
        "rule": Rule.objects.create(name="No rain", action="block", genre="rain"),
        "taste": alice.socialsongs_taste,
        "feedback": Feedback.objects.create(user=alice, request=asked, song=song, kind="play", rank=1, propensity=1,
                                             release=asked.release),
        "postaccess": PostAccess.objects.create(reader="1", reader_name="x", post="1", owner="1", door="page",
                                                hour="2026-01-01T00:00Z"),
        "webhookendpoint": endpoint,
        "webhookdelivery": WebhookDelivery.objects.get(),
        "event": Event.objects.get(kind="ping"),
        "apiclient": platform,
        "apikey": ApiKey.objects.first(),
        "externaluser": ExternalUser.objects.get(user=alice),
        "modelrelease": ModelRelease.objects.get(),
        "worker": Worker.objects.create(name="inference@here", host="here", pid=1, started_at="2026-01-01T00:00Z",
                                         seen_at="2026-01-01T00:00Z"),
        "group": Group.objects.create(name="Editors"),
        "user": django_user_model.objects.create_user("carol"),
        "accessattempt": AccessAttempt.objects.create(**common, failures_since_start=1),
        "accesslog": AccessLog.objects.create(**common),
        "accessfailurelog": AccessFailureLog.objects.create(**common),
        "token": token,
    }  # fmt: skip


def address(row, rows):
    """Return the row's address with the ids of existing rows."""
    route = row.route
    if found := re.match(r"admin/\w+/(\w+)/", route):
        route = route.replace("<path:object_id>", str(rows.get(found[1], rows["song"]).pk))
    for key, value in {
        "<uuid:post_id>": rows["post"].pk,
        "<uuid:song_id>": rows["draft" if row.draft else "song"].pk,
        "<uuid:request_id>": rows["asked" if "posts" in route else "text"].pk,
        "<uuid:endpoint_id>": rows["webhookendpoint"].pk,
        "<int:position>": 0,
        "<slug:name>": "coffee",
        "<str:kind>": "play",
        "<path:content_type_id>/<path:object_id>": "1/1",
        "<app_label>": "socialsongs",
        "(?P<url>.*)": "nowhere",
        "(?!schema(/ui)?$)": "nowhere",
        "<id>": rows["user"].pk,
    }.items():
        route = route.replace(key, str(value))
    query = "?app_label=socialsongs&model_name=rule&field_name=song" if route == "admin/autocomplete/" else ""
    return f"/{route}{query}"


def filled(value, row, rows, photo):
    match value:
        case dict():
            return {name: filled(each, row, rows, photo) for name, each in value.items()}
        case list():
            return [filled(each, row, rows, photo) for each in value]
        case "<song>":
            return str(rows["song"].pk)
        case "<row>":
            return str(rows[row.route.split("/")[2]].pk)
        case "<photo>":
            return SimpleUploadedFile("a.jpg", photo, "image/jpeg")
    return value


def ask(client, row, rows, photo):
    body, cookies = filled(row.body, row, rows, photo), client.cookies.output(header="")
    more = {} if "photos" in body or row.part != "API" or row.method == "GET" else {"content_type": "application/json"}
    answer = getattr(client, row.method.lower())(
        address(row, rows), body or None, **more, headers={"Prefer": "respond-async"}
    )
    b"".join(answer)  # closes the photo's file
    client.cookies = SimpleCookie(cookies)  # logging out would remove the session's
    return answer


def outcome(row, answer):
    if answer.status_code == 302 and "/login/" in answer.headers["Location"]:
        return "login"
    if row.action and answer.status_code != 403:
        levels = [message.level_tag for message in get_messages(answer.wsgi_request)]
        return "done" if {"success", "info"} & set(levels) else "not-done"
    return str(answer.status_code)


@pytest.mark.parametrize("part", PARTS)
def test_every_cell_answers_as_the_table_says(cast, rows, photo_bytes, part):
    wrong, photo = [], photo_bytes()
    for visibility in (0, 1):
        if visibility:
            Post.objects.update(visibility="public")
        for row in TABLE:
            depends = "/" in row.cells
            if row.part != part or (visibility and not depends):
                continue
            for who, cell in row.expected.items():
                with transaction.atomic():
                    answer = ask(cast[who], row, rows, photo)
                    transaction.set_rollback(True)
                found, expected = outcome(row, answer), cell.split("/")[-1 if visibility else 0]
                if not (found == expected or (expected == "open" and found not in ("login", "401", "403"))):
                    wrong.append(f"{row.title}, {who}, {('private', 'public')[visibility]}: {found}, not {expected}")
                wrong += [f"{row.title}, {who}: no {header}" for header in bad_headers(answer)]
    assert not wrong, "\n" + "\n".join(wrong)


def bad_headers(answer):
    """Yield the names of headers that are missing or not as they have to be, whatever the status."""
    for header, value in HEADERS.items():
        if answer.headers.get(header) != value:
            yield header
    policy = answer.headers.get("Content-Security-Policy", "")
    if "default-src 'none'" not in policy or "unsafe" in policy:
        yield "Content-Security-Policy"
    if "camera=()" not in answer.headers.get("Permissions-Policy", ""):
        yield "Permissions-Policy"


def test_a_key_opens_nothing_but_the_api(cast, rows, photo_bytes):
    opened, photo = [], photo_bytes()
    for row in TABLE:
        if row.part != "API":
            with transaction.atomic():
                found, known = (outcome(row, ask(cast[who], row, rows, photo)) for who in ("key", "visitor"))
                transaction.set_rollback(True)
            if found not in (known, "403"):
                opened.append(f"{row.title}: {found}, not {known}")
    assert not opened


def test_the_docs_hold_the_table():
    text = (Path(__file__).resolve().parents[1] / "docs" / "security.md").read_text()
    assert permissions.written(text) == text, "Run `make permissions`"
