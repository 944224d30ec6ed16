"""The security headers of every answer of the stand-alone site: no inline code, no caching of private pages."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import URLResolver, get_resolver

from socialsongs.models import ModelRelease

from .clips import wav

pytestmark = pytest.mark.django_db
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def routes(resolver, prefix="", names=()):
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(entry, URLResolver):
            yield from routes(entry, route, (*names, entry.namespace))
        else:
            yield route


@pytest.fixture
def address(ready_post, make_song, staff):
    """Return a function that fills a route of the URLconf with the ids of existing rows."""
    song = make_song("With a clip")
    song.preview_file.save("a.wav", ContentFile(wav()))
    asked = ready_post.requests.get()
    group = Group.objects.create(name="Editors")
    keys = {
        "<uuid:post_id>": ready_post.pk,
        "<uuid:song_id>": song.pk,
        "<uuid:request_id>": asked.pk,
        "<int:position>": 0,
        "<slug:name>": "coffee",
        "<str:kind>": "play",
        "<path:url>": "auth/",
        "<app_label>": "socialsongs",
        "<path:content_type_id>/<path:object_id>": "1/1",
        "(?P<app_label>auth|socialsongs)": "socialsongs",
        "<id>": staff.pk,
    }
    rows = {"post": ready_post, "song": song, "recommendationrequest": asked, "user": staff, "group": group,
            "modelrelease": ModelRelease.objects.get()}  # fmt: skip

    def make(route):
        for model, row in rows.items():
            if f"/{model}/" in route:
                route = route.replace("<path:object_id>", str(row.pk))
        route = route.replace("<path:object_id>", "1").replace("<path:content_type_id>/", "1/")
        for key, value in keys.items():
            route = route.replace(key, str(value))
        return "/" + route

    return make


def test_every_address_sends_the_headers_to_everybody_and_with_every_status(address, staff):
    desk, found = Client(raise_request_exception=False), []
    desk.force_login(staff)
    for client in (Client(), desk):
        for route in routes(get_resolver()):
            answer = client.get(address(route))
            b"".join(answer)
            found.append((route, answer.status_code))
            assert answer.status_code < 500 or route == "health/ready/", route
            for header, value in EVERYWHERE.items():
                assert answer.headers[header] == value, (route, header)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, route
            assert "unsafe" not in policy, route
            assert "camera=()" in answer.headers["Permissions-Policy"], route
    assert len(found) > 100
    # Most addresses exist with the keys above.
    assert sum(status == 200 for _, status in found) > 50


def test_error_pages_send_the_headers_too(client, alice):
    for answer, status in (
        (client.get("/nowhere"), 404),
        (Client(enforce_csrf_checks=True).post("/accounts/login/"), 403),
        (client.get("/static/nowhere.css"), 404),
        (client.get("/", headers={"Host": "elsewhere.example"}), 400),
    ):
        assert answer.status_code == status
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "<style" not in answer.content.decode()


def test_what_is_private_is_kept_by_no_cache(client, api_of, alice, ready_post):
    client.force_login(alice)
    for route in [*routes(get_resolver("socialsongs.web.urls")), "samples/<slug:name>"]:
        url = "/" + route.replace("<uuid:post_id>", str(ready_post.pk)).replace("<slug:name>", "coffee")
        url = url.replace("<uuid:song_id>", str(ready_post.requests.get().suggestions.first().song_id))
        answer = client.get(url.replace("<str:kind>", "play"))
        b"".join(answer)
        assert ("no-store" in answer.headers["Cache-Control"]) != route.startswith("samples/"), route
    for url in ("/accounts/password/", "/accounts/password/done/"):
        assert "no-store" in client.get(url).headers["Cache-Control"], url
    api = api_of(alice)
    for url in (f"posts/{ready_post.pk}", "posts", "taste", "songs"):
        answer = api.get(f"/api/v1/{url}")
        if answer.headers["Content-Type"].startswith("application/"):
            assert answer.headers["Cache-Control"] == "private, no-cache", url  # of the client alone, which asks first
    photo = api.get(f"/api/v1/posts/{ready_post.pk}/photos/0")
    b"".join(photo)
    assert photo.headers["Cache-Control"] == "private, max-age=86400"
    assert photo.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_answers_of_the_api_are_no_pages_in_any_host(settings, client, alice):
    """Without the middleware of the stand-alone site."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name.startswith("django.contrib.")]
    client.force_login(alice)
    for url, status in (("posts", 200), ("taste", 200), ("nowhere", 404), ("songs?language=%00", 400)):
        answer = client.get(f"/api/v1/{url}")
        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, "max-age=31536000"),
        (
            {"SECURE_HSTS_SUBDOMAINS": "1", "SECURE_HSTS_PRELOAD": "1", "SECURE_HSTS_SECONDS": "63072000"},
            "max-age=63072000; includeSubDomains; preload",
        ),
        ({"SECURE_HSTS_PRELOAD": "1"}, "SECURE_HSTS_PRELOAD needs SECURE_HSTS_SUBDOMAINS"),
    ],
)
def test_other_names_of_the_domain_are_bound_only_when_asked(environment, header):
    script = (
        "import django; django.setup(); from django.test import Client\n"
        "print(Client().get('/nowhere/', secure=True, headers={'Host': 'localhost'})['Strict-Transport-Security'])"
    )
    told = {"DJANGO_SETTINGS_MODULE": "socialsongs.site.settings", "SECURE_SSL": "1", "LOG_LEVEL": "CRITICAL"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | told | environment, capture_output=True, text=True, check=False
    )
    error = done.stderr.rpartition("ImproperlyConfigured: ")[2].partition(",")[0]
    assert header in (done.stdout.strip(), error)


def test_the_policy_has_nothing_inline():
    for sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].values():
        assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(sources)
