"""While the database is read-only or away, API, pages, login and admin answer 503 with Retry-After."""

import json

import pytest
from django.db import ProgrammingError, connection
from django.test import Client
from django.urls import reverse

from socialsongs.services.posts import create_post
from socialsongs.site.refusals import server_error

from .test_api_posts import problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[False, True], ids=["", "ATOMIC_REQUESTS"])
def atomic_requests(request):
    connection.settings_dict["ATOMIC_REQUESTS"] = request.param
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.fixture
def read_only():
    """Make PostgreSQL itself refuse changes."""

    def turn(on):
        with connection.cursor() as cursor:
            cursor.execute(f"SET default_transaction_read_only = {on}")

    yield lambda: turn("on")
    turn("off")


@pytest.fixture
def away():
    place = connection.settings_dict["HOST"]

    def go():
        connection.close()
        connection.settings_dict["HOST"] = "/nowhere"

    yield go
    connection.settings_dict["HOST"] = place
    connection.close()


@pytest.fixture
def browser(alice):
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def comes_back(response):
    assert response.status_code == 503, response.content
    assert int(response["Retry-After"]) > 0


def page_comes_back(response):
    comes_back(response)
    text = response.content.decode()
    assert "text/html" in response["Content-Type"]
    assert "cannot do this at the moment" in text
    assert "Traceback" not in text


@pytest.mark.usefixtures("atomic_requests")
def test_a_read_only_database_answers_503_to_changes_and_reads_go_on(api_of, alice, upload, browser, read_only):
    api, (post, _) = api_of(alice), create_post(owner=alice, uploads=[upload()])
    staff_page = reverse("admin:socialsongs_song_add")
    read_only()
    for answer in (
        api.post("/api/v1/posts", {"photos": upload()}),
        api.post("/api/v1/posts", {"photos": upload()}, headers={"Idempotency-Key": "k"}),
        api.delete(f"/api/v1/posts/{post.pk}"),
        api.post(f"/api/v1/posts/{post.pk}/recommendations", {}, format="json"),
    ):
        comes_back(answer)
        problem(answer, 503, "unavailable")
    page_comes_back(browser.post("/", {"photos": upload()}))
    fragment = browser.post("/", {"photos": upload()}, headers={"HX-Request": "true"})
    comes_back(fragment)
    assert "<html" not in fragment.content.decode()
    # Reads go on.
    assert api.get(f"/api/v1/posts/{post.pk}").status_code == 200
    assert browser.get("/").status_code == 200
    assert browser.get(staff_page).status_code == 302


def test_a_login_with_a_read_only_database_is_to_be_tried_again(django_user_model, read_only):
    django_user_model.objects.create_superuser("staff", password="a-long-passphrase")
    client = Client(raise_request_exception=False)
    read_only()
    for address in ("/accounts/login/", "/admin/login/"):
        page_comes_back(client.post(address, {"username": "staff", "password": "a-long-passphrase"}))


def test_the_admin_with_a_read_only_database_is_to_be_tried_again(staff, read_only):
    client = Client(raise_request_exception=False)
    client.force_login(staff)
    read_only()
    page_comes_back(client.post(reverse("admin:auth_group_add"), {"name": "curators"}))


@pytest.mark.usefixtures("atomic_requests")
def test_without_a_database_every_door_answers_503(api_of, alice, upload, browser, away):
    api = api_of(alice)
    api.raise_request_exception = False
    away()
    for answer in (
        api.get("/api/v1/posts"),
        api.post("/api/v1/posts", {"photos": upload()}),
        browser.get("/api/v1/songs"),
    ):
        comes_back(answer)
        problem(answer, 503, "unavailable")
    for answer in (browser.get("/"), browser.post("/", {"photos": upload()}), browser.get("/admin/")):
        page_comes_back(answer)


def test_a_statement_that_is_wrong_is_no_outage(browser, monkeypatch, rf):
    """A bug stays an error 500, and is a problem under /api/."""

    def wrong(**_):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    monkeypatch.setattr("socialsongs.web.views.own_posts", wrong)
    assert browser.get("/").status_code == 500
    try:
        wrong()
    except ProgrammingError:
        answer = server_error(rf.get("/api/v1/posts"))
    assert (answer.status_code, json.loads(answer.content)["code"]) == (500, "error")
    assert answer["Content-Type"] == "application/problem+json"
