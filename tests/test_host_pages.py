"""The songs inside a page of the host, without a browser."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from socialsongs.models import Feedback, Post, PostAccess, State

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
