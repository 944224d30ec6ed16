"""The songs inside a page of the host, without a browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import socialsongs
from socialsongs.models import Feedback, Post, PostAccess, State

from .gallery.models import Picture
from .processes import ROOT

# Pages for errors, of health, of the API's reference; pages of Django's admin are left out, too.
LEFT_OUT = {"health.html", "refused.html", "schema.html"}

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.host_pages")]


@pytest.fixture
def host(ready_post):
    return f"/photos/?post={ready_post.pk}"


def show(client, address, user=None):
    if user is not None:
        client.force_login(user)
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_owner_sees_songs_with_line_reasons_and_buttons(client, alice, host, ready_post):
    page = show(client, host, alice)
    assert page.count('class="socialsongs-card socialsongs-panel"') == 3
    assert "<mark>The tide comes in</mark>" in page
    assert "harbor" in page
    assert "<h2 id=" in page  # the page's own heading is the first one
    assert f'action="/music/posts/{ready_post.pk}/songs/' in page
    assert "Choose another photo" not in page
    assert "/steer" not in page
    assert page.count("socialsongs/page") == 1  # though the page names the assets twice
    assert Feedback.objects.filter(kind="impression").count() == 3


def test_without_a_script_forms_lead_back_to_the_hosts_page(client, alice, host, ready_post):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    page = client.get(host)
    song = ready_post.requests.get().suggestions.get(rank=2).song
    back = f"{host}#socialsongs-{ready_post.pk}"
    address = next(
        part for part in page.content.decode().split('"') if part.startswith("/music") and f"{song.pk}/choose" in part
    )
    assert parse_qs(urlsplit(address).query) == {"next": [host]}
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert client.post(address, token).headers["Location"] == back
    assert Post.objects.get().chosen_song == song
    page = client.get(host).content.decode()
    assert "Your song" in page
    assert page.count('class="socialsongs-card socialsongs-panel"') == 2
    unchoose = f"/music/posts/{ready_post.pk}/unchoose?next={host}"
    assert client.post(unchoose, token).headers["Location"] == back
    assert Post.objects.get().chosen_song is None


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "x"]
)
def test_a_form_leads_nowhere_else(client, alice, ready_post, elsewhere):
    client.force_login(alice)
    answer = client.post(f"/music/posts/{ready_post.pk}/unchoose", query_params={"next": elsewhere})
    assert answer.headers["Location"] == f"/music/posts/{ready_post.pk}#socialsongs-{ready_post.pk}"


def test_parts_that_htmx_swaps_keep_the_page_they_are_in(client, alice, host, ready_post):
    client.force_login(alice)
    song = ready_post.requests.get().suggestions.get(rank=1).song
    choose = reverse("socialsongs:post-page-choose", args=[ready_post.pk, song.pk])
    part = client.post(choose, query_params={"next": host}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "/unchoose?next=%2Fphotos%2F" in part
    assert "/steer" not in part
    assert "<h1" not in part


def test_a_waiting_photo_polls_and_a_failed_one_can_be_tried_again(client, alice, host, ready_post):
    Post.objects.update(state=State.QUEUED)
    page = show(client, host, alice)
    assert f'hx-get="/music/posts/{ready_post.pk}/progress?next=%2Fphotos%2F' in page
    assert f'<noscript><p><a href="{host}">' in page
    Post.objects.update(state=State.FAILED, reason="photo_missing")
    page = show(client, host, alice)
    assert "The stored photo is gone" in page
    retry = f"/music/posts/{ready_post.pk}/retry"
    assert client.post(retry, query_params={"next": host}).headers["Location"].startswith(host)
    assert Post.objects.get().state == State.QUEUED


def test_nothing_fits(client, alice, host, ready_post):
    ready_post.requests.get().suggestions.all().delete()
    assert "No song to suggest" in show(client, host, alice)


def test_who_may_only_look_gets_no_buttons(client, staff, bob, host, ready_post):
    page = show(client, host, staff)
    assert page.count('class="socialsongs-card socialsongs-panel"') == 3
    assert "<form method" not in page
    assert PostAccess.objects.get().reader_name == "staff"
    assert "socialsongs-result" not in show(client, host, bob)
    Post.objects.update(visibility="public", chosen_song=ready_post.requests.get().suggestions.get(rank=1).song)
    page = show(client, host, bob)
    assert "The song of this post" in page
    assert "socialsongs-card" not in page
    assert "<form method" not in page


def test_visitors_who_are_not_logged_in_see_the_song_of_a_public_post_alone(client, host, ready_post):
    assert "socialsongs-result" not in show(client, host)
    Post.objects.update(visibility="public", chosen_song=ready_post.requests.get().suggestions.get(rank=1).song)
    page = show(client, host)
    assert "Song 1" in page
    assert "harbor" not in page
    assert "data-poll" not in page
    assert not PostAccess.objects.exists()


def test_queries_do_not_grow_with_the_list(
    client, alice, host, ready_post, make_song, release, django_assert_num_queries
):
    asked = ready_post.requests.get()
    show(client, host, alice)  # records the impressions
    with CaptureQueriesContext(connection) as few:
        show(client, host)
    for rank in range(4, 30):
        asked.suggestions.create(song=make_song(f"Song {rank}"), release=release, rank=rank, score=0.1)
    with CaptureQueriesContext(connection) as many:
        assert "Song 29" in show(client, host)
    assert len(many) == len(few) < 25


def test_a_host_overrides_a_block_and_keeps_the_rest(client, alice, host, tmp_path, settings):
    folder = tmp_path / "socialsongs"
    folder.mkdir()
    card = (
        '{% extends "socialsongs/_card.html" %}{% block rank %}{% endblock %}{% block line %}<b>Mine</b>{% endblock %}'
    )
    (folder / "_card.html").write_text(card)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    page = show(client, host, alice)
    assert page.count("<b>Mine</b>") == 3
    assert "The tide comes in" not in page
    assert "socialsongs-rank" not in page
    assert "harbor" in page


def test_the_docs_name_every_block():
    docs = (ROOT / "docs" / "pages.md").read_text()
    for path in (ROOT / "socialsongs" / "templates" / "socialsongs").glob("*.html"):
        text = path.read_text()
        blocks = re.findall(r"{% block (\w+) %}", text)
        if not blocks or path.name in LEFT_OUT or '{% extends "admin/' in text:
            continue
        if path.name != "base.html":
            blocks = [name for name in blocks if name not in ("title", "scripts", "main")]  # of base.html
        row = next(line for line in docs.splitlines() if line.startswith(f"| `{path.name}`"))
        assert re.findall(r"`(\w+)`", row.split("|")[2]) == list(dict.fromkeys(blocks)), path.name


@pytest.fixture
def picture(alice, photo_bytes, django_capture_on_commit_callbacks):
    """A row of an attached model, which alice made and manages."""
    with django_capture_on_commit_callbacks(execute=True):
        return Picture.objects.create(author=alice, file=ContentFile(photo_bytes(), "sea.jpg"))


def test_an_attached_photo_has_songs_as_a_post_has(client, alice, bob, picture, release, make_song):
    host = f"/photos/?picture={picture.pk}"
    post = socialsongs.post_of(picture)
    assert f'hx-get="/music/posts/{post.pk}/progress?next=%2Fphotos%2F' in show(client, host, alice)
    asked = post.requests.get()
    for rank, title in enumerate(("Ebb", "Tide"), start=1):
        asked.suggestions.create(song=make_song(title), release=release, rank=rank, score=1.0, line="x", line_index=0)
    for row in (asked, post):
        row.state = State.READY
        row.save()
    page = show(client, host, alice)
    assert page.count('class="socialsongs-card socialsongs-panel"') == 2
    choose = reverse("socialsongs:post-page-choose", args=[post.pk, asked.suggestions.get(rank=1).song_id])
    assert client.post(choose, query_params={"next": host}).headers["Location"] == f"{host}#socialsongs-{post.pk}"
    assert "Your song" in show(client, host, alice)
    assert socialsongs.chosen_song(picture).title == "Ebb"
    assert "socialsongs-result" not in show(client, host, bob)
    Picture.objects.update(is_public=True)
    page = show(client, host, bob)
    assert "<form method" not in page


def test_a_photo_that_does_not_count_shows_nothing(client, alice):
    assert "socialsongs-result" not in show(
        client, f"/photos/?picture={Picture.objects.create(author=alice).pk}", alice
    )
