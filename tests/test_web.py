"""The poster's pages, without a browser."""

import pytest
from django.urls import reverse

from socialsongs.models import Feedback, PhotoAnalysis, Post, State

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(client, alice):
    client.force_login(alice)
    return client


def url(name, *arguments):
    return reverse(f"socialsongs:{name}", args=arguments)


def test_it_asks_to_log_in(client):
    assert client.get("/").headers["Location"].startswith("/accounts/login/")


def test_home_offers_samples_and_shows_own_posts(mine, ready_post):
    page = mine.get("/").content.decode()
    assert "Try the sample photo: coffee" in page
    assert url("post-page", ready_post.pk) in page


def test_an_upload_leads_to_the_post(mine, upload):
    response = mine.post("/", {"photos": upload(), "caption": "Sea"})
    post = Post.objects.get()
    assert response.headers["Location"] == url("post-page", post.pk)
    assert (post.caption, post.visibility) == ("Sea", "private")


def test_a_sample_can_be_posted(mine):
    assert mine.get(url("sample", "coffee")).getvalue().startswith(b"\x89PNG")
    mine.post("/", {"sample": "coffee"})
    assert Post.objects.get().photos.get().width == 600
    assert mine.post("/", {"sample": "../../secret"}).status_code == 404


def test_a_refused_upload_says_why(mine, upload):
    page = mine.post("/", {"photos": upload(b"words"), "caption": "kept"})
    assert page.status_code == 422
    assert "not a JPEG" in page.content.decode()
    assert "kept" in page.content.decode()
    part = mine.post("/", {"photos": upload(b"words")}, headers={"HX-Request": "true"})
    assert part.status_code == 422
    assert "<html" not in part.content.decode()


def test_a_waiting_post_asks_again(mine, upload):
    mine.post("/", {"photos": upload()})
    page = mine.get(url("post-page", Post.objects.get().pk)).content.decode()
    assert 'hx-trigger="load delay:600ms"' in page


def test_a_ready_post_shows_lines_and_reasons(mine, ready_post):
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "<mark>The tide comes in</mark>" in page
    assert 'data-box="0.1,0.2,0.6,0.8"' in page
    assert page.count('class="card panel"') == 3
    assert "load delay" not in page


def test_nothing_found_has_its_own_words(mine, ready_post):
    PhotoAnalysis.objects.update(tags=[])
    ready_post.requests.get().suggestions.all().delete()
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "No song to suggest" in page
    assert "Nothing that has a name here" in page


def test_choose_and_take_back(mine, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    mine.post(url("post-page-choose", ready_post.pk, song.pk))
    assert Post.objects.get().chosen_song == song
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "Your song" in page
    assert page.count('class="card panel"') == 2
    mine.post(url("post-page-unchoose", ready_post.pk))
    assert Post.objects.get().chosen_song is None


def test_not_this_leaves_the_list(mine, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    part = mine.post(url("post-page-feedback", ready_post.pk, song.pk, "hide"), headers={"HX-Request": "true"})
    assert part.content.decode().count('class="card panel"') == 2
    assert Feedback.objects.get().kind == "hide"
    assert mine.post(url("post-page-feedback", ready_post.pk, song.pk, "applaud")).status_code == 404


def test_a_failed_post_can_be_tried_again(mine, ready_post):
    Post.objects.update(state=State.FAILED, reason="attempts_exhausted")
    assert "Try again" in mine.get(url("post-page", ready_post.pk)).content.decode()
    mine.post(url("post-page-retry", ready_post.pk))
    assert Post.objects.get().state == State.QUEUED


def test_others_see_only_what_is_public(client, bob, ready_post):
    client.force_login(bob)
    assert client.get(url("post-page", ready_post.pk)).status_code == 404
    song = ready_post.requests.get().suggestions.get(rank=1).song
    Post.objects.update(visibility="public", chosen_song=song)
    page = client.get(url("post-page", ready_post.pk)).content.decode()
    assert song.title in page
    assert "harbor" not in page
    assert "Delete post" not in page
    for name in ("post-page-retry", "post-page-delete", "post-page-unchoose"):
        assert client.post(url(name, ready_post.pk)).status_code == 404
    assert client.post(url("post-page-choose", ready_post.pk, song.pk)).status_code == 404


def test_delete(mine, ready_post):
    assert mine.post(url("post-page-delete", ready_post.pk)).headers["Location"] == "/"
    assert not Post.objects.exists()


def test_the_page_holds_no_inline_code(mine, ready_post):
    """So that a strict content security policy can be put in front of it."""
    page = mine.get(url("post-page", ready_post.pk)).content.decode() + mine.get("/").content.decode()
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page
    assert "<script>" not in page
