"""The poster's pages, without a browser."""

import re
import uuid
from io import BytesIO
from urllib.parse import quote

import pytest
from django.urls import reverse
from PIL import Image

from socialsongs.models import Feedback, PhotoAnalysis, Post, RecommendationRequest, State, Suggestion

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(client, alice):
    client.force_login(alice)
    return client


def url(name, *arguments):
    return reverse(f"socialsongs:{name}", args=arguments)


def test_it_asks_to_log_in(client):
    assert client.get("/").headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("address", ["/nowhere", f"/posts/{uuid.UUID(int=1)}"])
def test_the_page_of_an_unknown_address_has_a_way_back(mine, address):
    page = mine.get(address)
    assert page.status_code == 404
    assert '<a href="/">Back to the start</a>' in page.content.decode()


def test_home_offers_samples_and_shows_own_posts(mine, ready_post):
    page = mine.get("/").content.decode()
    assert "Try the sample photo: coffee" in page
    assert url("post-page", ready_post.pk) in page


def test_more_posts_take_the_focus_with_them(mine, alice):
    Post.objects.bulk_create(Post(owner=alice) for _ in range(14))
    assert "autofocus" not in mine.get("/?page=2").content.decode()
    more = mine.get("/?page=2", headers={"HX-Request": "true"}).content.decode()
    assert more.count('class="socialsongs-tile"') == 2
    assert more.index("autofocus") < more.index("</a>")


def test_an_upload_leads_to_the_post(mine, upload):
    response = mine.post("/", {"photos": upload(), "caption": "Sea"})
    post = Post.objects.get()
    assert response.headers["Location"] == url("post-page", post.pk)
    assert (post.caption, post.visibility) == ("Sea", "private")


def test_a_sample_can_be_posted(mine):
    assert mine.get("/samples/coffee").getvalue().startswith(b"\x89PNG")
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
    assert page.count('class="socialsongs-card socialsongs-panel"') == 3
    assert "load delay" not in page


def test_nothing_found_has_its_own_words(mine, ready_post):
    PhotoAnalysis.objects.update(tags=[])
    ready_post.requests.get().suggestions.all().delete()
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "No song to suggest" in page
    assert "Nothing was recognised in this photo" in page


def test_choose_and_take_back(mine, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    mine.post(url("post-page-choose", ready_post.pk, song.pk))
    assert Post.objects.get().chosen_song == song
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "Your song" in page
    assert page.count('class="socialsongs-card socialsongs-panel"') == 2
    mine.post(url("post-page-unchoose", ready_post.pk))
    assert Post.objects.get().chosen_song is None


def test_not_this_leaves_the_list(mine, ready_post):
    song = ready_post.requests.get().suggestions.get(rank=1).song
    part = mine.post(url("post-page-feedback", ready_post.pk, song.pk, "hide"), headers={"HX-Request": "true"})
    assert part.content.decode().count('class="socialsongs-card socialsongs-panel"') == 2
    assert Feedback.objects.get(song=song).kind == "hide"
    for kind in ("applaud", "impression"):
        assert mine.post(url("post-page-feedback", ready_post.pk, song.pk, kind)).status_code == 404


def test_what_was_hidden_can_be_shown_again(mine, ready_post, steered):
    song = Suggestion.objects.get(request=steered, rank=2).song  # in the first list, too
    here = f"?request={steered.pk}"
    mine.post(url("post-page-feedback", ready_post.pk, song.pk, "hide") + here)
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "Hidden songs (1)" in page
    assert f'action="{url("post-page-show", ready_post.pk, song.pk)}"' in page
    shown = mine.post(url("post-page-show", ready_post.pk, song.pk))
    assert shown.headers["Location"] == f"{url('post-page', ready_post.pk)}#socialsongs-{ready_post.pk}"
    assert not Feedback.objects.filter(kind="hide").exists()
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert f"<h2>{song.title}</h2>" in page
    assert "Hidden songs" not in page


def test_when_all_are_hidden_there_are_ways_on(mine, client, bob, ready_post):
    for suggestion in Suggestion.objects.all():
        mine.post(url("post-page-feedback", ready_post.pk, suggestion.song_id, "hide"))
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "All songs are hidden" in page
    assert "No song to suggest" not in page
    assert url("post-page-steer", ready_post.pk) in page
    client.force_login(bob)
    for name, more in (("post-page-show-all", ()), ("post-page-show", (Suggestion.objects.first().song_id,))):
        assert client.post(url(name, ready_post.pk, *more)).status_code == 404
    client.force_login(ready_post.owner)
    mine.post(url("post-page-show-all", ready_post.pk))
    assert (
        mine.get(url("post-page", ready_post.pk)).content.decode().count('class="socialsongs-card socialsongs-panel"')
        == 3
    )


def test_a_song_that_is_removed_can_be_taken_back(mine, ready_post):
    song = Suggestion.objects.get(rank=1).song
    mine.post(url("post-page-choose", ready_post.pk, song.pk))
    part = mine.post(url("post-page-unchoose", ready_post.pk), headers={"HX-Request": "true"}).content.decode()
    assert f"Undo: choose {song.title} again" in part
    assert f'action="{url("post-page-choose", ready_post.pk, song.pk)}"' in part


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


def test_a_deleted_post_is_gone_from_the_pages(mine, ready_post):
    assert mine.post(url("post-page-delete", ready_post.pk)).headers["Location"] == "/"
    assert not Post.objects.exists()


def impressions():
    return Feedback.objects.filter(kind="impression").count()


def test_songs_count_as_seen_when_their_owner_first_sees_them(client, alice, staff, ready_post):
    client.force_login(staff)
    client.get(url("post-page", ready_post.pk))
    assert impressions() == 0
    client.force_login(alice)
    Post.objects.update(state=State.ANALYSING)
    client.get(url("post-progress", ready_post.pk))
    assert impressions() == 0
    Post.objects.update(state=State.READY)
    client.get(url("post-progress", ready_post.pk))
    assert impressions() == 3
    client.get(url("post-page", ready_post.pk))
    assert impressions() == 3


@pytest.mark.parametrize(
    ("origins", "says"),
    [
        (["editorial", "editorial", "editorial"], "These are picked by our editors."),
        (["popular", "popular", "popular"], "These are popular right now."),
        (["nearest", "nearest", "nearest"], "These are the nearest ones."),
        (["pin", "editorial", "popular"], "These are picked by our editors or popular right now."),
        (["match", "match", "match"], "These are the nearest ones."),
    ],
)
def test_when_nothing_fits_it_says_what_is_offered_instead(mine, ready_post, origins, says):
    RecommendationRequest.objects.update(confident=False)
    for rank, origin in enumerate(origins, start=1):
        Suggestion.objects.filter(rank=rank).update(origin=origin)
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "No song clearly fits this photo" in page
    assert says in page


def test_a_song_from_further_down_and_rules_that_speak_for_songs_are_marked(mine, ready_post):
    Suggestion.objects.filter(rank=1).update(origin="exploration")
    for rank, kind in ((1, "bury"), (2, "pin"), (3, "boost")):
        suggestion = Suggestion.objects.get(rank=rank)
        suggestion.reasons = [{"tag": f"rule to {kind}", "kind": kind, "weight": 1.0}, *suggestion.reasons]
        suggestion.save()
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert page.count("something different") == 1
    for rule in ("rule to pin", "rule to boost"):
        assert f'<span class="socialsongs-tag socialsongs-rule">{rule}</span>' in page
    assert "rule to bury" not in page


def steer(mine, post, text):
    """Steer a post; return the address that follows, and the request."""
    response = mine.post(url("post-page-steer", post.pk), {"text": text})
    request = post.requests.filter(is_default=False).first()
    return response.headers["Location"], request


@pytest.fixture
def steered(mine, ready_post, release, make_song):
    """An answered request for upbeat songs: a new one, and the first list's second."""
    _, request = steer(mine, ready_post, "upbeat")
    for rank, song in enumerate([make_song("Upbeat"), Suggestion.objects.get(rank=2).song], start=1):
        Suggestion.objects.create(request=request, song=song, release=release, rank=rank, score=1.0)
    RecommendationRequest.objects.filter(pk=request.pk).update(state=State.READY, confident=True)
    return request


def test_words_lead_to_another_list_and_back(mine, ready_post, release, make_song):
    location, request = steer(mine, ready_post, " upbeat summer ")
    assert location == f"{url('post-page', ready_post.pk)}?request={request.pk}#socialsongs-{ready_post.pk}"
    assert (request.text, request.state) == ("upbeat summer", "queued")
    waiting = mine.get(location).content.decode()
    assert "Looking for songs: upbeat summer" in waiting
    assert f'hx-get="{url("post-progress", ready_post.pk)}?request={request.pk}"' in waiting
    assert f'<noscript><p><a href="{url("post-page", ready_post.pk)}?request={request.pk}">' in waiting

    Suggestion.objects.create(request=request, song=make_song("Sun"), release=release, rank=1, score=1.0)
    RecommendationRequest.objects.filter(pk=request.pk).update(state=State.READY, confident=True)
    part = mine.get(url("post-progress", ready_post.pk), {"request": request.pk}).content.decode()
    assert "Songs for your photo and your words" in part
    assert "<h2>Sun</h2>" in part
    assert "<h2>Song 1</h2>" not in part
    assert 'value="upbeat summer"' in part
    assert (
        f'<a href="{url("post-page", ready_post.pk)}#socialsongs-{ready_post.pk}">Back to the first songs</a>' in part
    )
    assert "<h2>Song 1</h2>" in mine.get(url("post-page", ready_post.pk)).content.decode()


def test_no_words_lead_back_to_the_first_list(mine, ready_post):
    location, request = steer(mine, ready_post, "  ")
    assert location == f"{url('post-page', ready_post.pk)}#socialsongs-{ready_post.pk}"
    assert request is None


@pytest.mark.parametrize(
    ("text", "says"), [("🌊🔥", "Write words"), ("...", "Write words"), ("la " * 400, "500"), ("a\0b", "Null")]
)
def test_words_that_cannot_be_used_are_kept_and_say_why(mine, ready_post, text, says):
    response = mine.post(url("post-page-steer", ready_post.pk), {"text": text})
    assert response.status_code == 422
    page = response.content.decode()
    assert says in page.split('role="alert"')[1].split("</p>")[0]
    assert f'value="{text.strip()}"' in page
    assert page.count('class="socialsongs-card socialsongs-panel"') == 3
    assert ready_post.requests.count() == 1


def test_steering_and_uploads_are_as_often_as_in_the_api(mine, alice, api_of, ready_post, upload, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "REQUEST_RATE": "1/hour", "UPLOAD_RATE": "1/hour"}
    api = api_of(alice)
    api.post(f"/api/v1/posts/{ready_post.pk}/recommendations", {}, format="json", headers={"Prefer": "respond-async"})
    refused = mine.post(url("post-page-steer", ready_post.pk), {"text": "upbeat"})
    assert (refused.status_code, ready_post.requests.count()) == (429, 2)
    assert "Too many requests. Try again in" in refused.content.decode()
    assert 'value="upbeat"' in refused.content.decode()
    api.post("/api/v1/posts", {"photos": upload()})
    for headers in ({}, {"HX-Request": "true"}):
        refused = mine.post("/", {"photos": upload(), "caption": "Sea"}, headers=headers)
        assert (refused.status_code, Post.objects.count()) == (429, 2)
        assert "Too many requests. Try again in" in refused.content.decode()


def test_words_that_could_not_be_used_say_why(mine, ready_post):
    location, request = steer(mine, ready_post, "la")
    RecommendationRequest.objects.filter(pk=request.pk).update(state=State.FAILED, reason="text_empty")
    page = mine.get(location).content.decode()
    assert "Say in a few words" in page
    assert "Back to the first songs" in page
    assert url("post-page-retry", ready_post.pk) not in page


def test_only_the_owner_may_steer(client, staff, ready_post, steered):
    client.force_login(staff)
    for state in (State.READY, State.FAILED):
        RecommendationRequest.objects.filter(pk=steered.pk).update(state=state)
        page = client.get(url("post-page", ready_post.pk), {"request": steered.pk}).content.decode()
        assert url("post-page-steer", ready_post.pk) not in page
        assert "Back to the first songs" in page


def test_a_list_that_is_short_says_why(mine, ready_post):
    RecommendationRequest.objects.update(notice="fewer_songs")
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "Fewer songs match than you asked for." in page
    assert page.count('class="socialsongs-card socialsongs-panel"') == 3


def test_a_request_without_words_is_not_called_one_with_words(mine, ready_post, steered):
    RecommendationRequest.objects.filter(pk=steered.pk).update(text="")
    page = mine.get(url("post-page", ready_post.pk), {"request": steered.pk}).content.decode()
    assert "Songs for your photo</h1>" in page


def test_a_page_that_waits_for_its_post_goes_on_with_its_request(mine, ready_post, steered):
    Post.objects.update(state=State.ANALYSING)
    page = mine.get(url("post-page", ready_post.pk), {"request": steered.pk}).content.decode()
    assert f'hx-get="{url("post-progress", ready_post.pk)}?request={steered.pk}"' in page


def test_a_script_that_waits_for_a_post_that_is_gone_is_told_so(mine, ready_post):
    address = url("post-progress", ready_post.pk)
    Post.objects.all().delete()
    assert mine.get(address).status_code == 404
    told = mine.get(address, headers={"HX-Request": "true"})
    assert told.status_code == 410
    assert "This post no longer exists" in told.content.decode()


def test_a_moderator_is_not_told_that_the_song_is_theirs(client, staff, ready_post):
    Post.objects.update(chosen_song=ready_post.requests.get().suggestions.get(rank=1).song)
    client.force_login(staff)
    page = client.get(url("post-page", ready_post.pk)).content.decode()
    assert "The song of this post" in page
    assert "Your song" not in page


def test_when_the_only_song_is_chosen_there_are_no_others(mine, ready_post):
    Suggestion.objects.exclude(rank=1).delete()
    mine.post(url("post-page-choose", ready_post.pk, Suggestion.objects.get().song_id))
    page = mine.get(url("post-page", ready_post.pk)).content.decode()
    assert "Your song" in page
    assert "Other songs that fit" not in page
    assert "No song to suggest" not in page


def test_a_chosen_song_does_not_count_as_seen_among_the_others(mine, ready_post):
    Post.objects.update(chosen_song=Suggestion.objects.get(rank=1).song)
    mine.get(url("post-page", ready_post.pk))
    assert impressions() == 2


def test_a_steered_list_without_songs_says_why(mine, ready_post, steered):
    Suggestion.objects.filter(request=steered).delete()
    RecommendationRequest.objects.filter(pk=steered.pk).update(notice="no_songs")
    page = mine.get(url("post-page", ready_post.pk), {"request": steered.pk}).content.decode()
    assert "No song matches what you asked for." in page
    assert "Back to the first songs" in page


def test_songs_of_a_steered_list_are_chosen_and_hidden_in_it(mine, ready_post, steered):
    here = f"?request={steered.pk}"
    page = mine.get(url("post-page", ready_post.pk) + here).content.decode()
    first, second = (row.song for row in steered.suggestions.order_by("rank"))
    assert page.count('class="socialsongs-card socialsongs-panel"') == 2
    for song, name, *kind in ((first, "choose"), (second, "feedback", "hide")):
        assert f'action="{url(f"post-page-{name}", ready_post.pk, song.pk, *kind)}{here}"' in page

    chosen = mine.post(url("post-page-choose", ready_post.pk, first.pk) + here)
    assert chosen.headers["Location"] == f"{url('post-page', ready_post.pk)}{here}#socialsongs-{ready_post.pk}"
    assert Post.objects.get().chosen_song == first
    assert (
        mine.get(chosen.headers["Location"]).content.decode().count('class="socialsongs-card socialsongs-panel"') == 1
    )
    part = mine.post(
        url("post-page-feedback", ready_post.pk, second.pk, "hide") + here, headers={"HX-Request": "true"}
    ).content.decode()
    assert 'class="socialsongs-card socialsongs-panel"' not in part
    done = Feedback.objects.exclude(kind="impression").values_list("request", "song", "kind", "rank")
    assert set(done) == {(steered.pk, first.pk, "choose", 1), (steered.pk, second.pk, "hide", 2)}
    # What was hidden here is gone from the first list as well.
    assert f"<h2>{second.title}</h2>" not in mine.get(url("post-page", ready_post.pk)).content.decode()


def test_a_steered_list_counts_as_seen_by_itself(mine, ready_post, steered):
    mine.get(url("post-page", ready_post.pk), {"request": steered.pk})
    assert set(Feedback.objects.values_list("request", "kind")) == {(steered.pk, "impression")}
    assert impressions() == 2


def test_only_requests_for_the_post_are_shown(client, mine, bob, ready_post, steered, upload):
    page = url("post-page", ready_post.pk)
    other = RecommendationRequest.objects.create(text="rain")
    for wrong in (other.pk, "x", "0"):
        assert mine.get(page, {"request": wrong}).status_code == 404
    Post.objects.update(visibility="public")
    client.force_login(bob)
    assert "Upbeat" not in client.get(page, {"request": steered.pk}).content.decode()
    assert client.post(url("post-page-steer", ready_post.pk), {"text": "mine"}).status_code == 404
    assert ready_post.requests.count() == 2


def test_the_page_holds_no_inline_code(mine, ready_post, steered):
    """A strict content security policy forbids it."""
    pages = [url("post-page", ready_post.pk), f"{url('post-page', ready_post.pk)}?request={steered.pk}", "/"]
    page = "".join(mine.get(page).content.decode() for page in pages)
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page
    assert "<script>" not in page


def test_the_page_names_the_bad_one_of_several_photos(client, alice, upload):
    client.force_login(alice)
    response = client.post("/", {"photos": [upload(), upload(b"no photo", name="<b>sea.jpg")]})
    assert response.status_code == 422
    assert "Photo 2 (&lt;b&gt;sea.jpg): This is not a JPEG" in response.content.decode()
    assert not Post.objects.exists()


def test_the_page_says_when_too_many_photos_wait(client, alice, upload, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_WAITING_PHOTOS": 10}
    client.force_login(alice)
    assert client.post("/", {"photos": [upload() for _ in range(10)]}).status_code == 302
    response = client.post("/", {"photos": upload()}, headers={"HX-Request": "true"})
    assert (response.status_code, response["Retry-After"]) == (429, "10")
    assert "10 of your photos are still being analysed" in response.content.decode()


def test_the_same_form_makes_one_post_and_another_photo_another(mine, upload, photo_bytes):
    key = re.search(r'name="idempotency_key" value="([^"]+)"', mine.get("/").content.decode())[1]
    body = {"idempotency_key": key, "caption": "Sea"}
    first = mine.post("/", {"photos": upload(), **body}).headers["Location"]
    assert mine.post("/", {"photos": upload(), **body}).headers["Location"] == first
    other = mine.post("/", {"photos": upload(photo_bytes(size=(64, 64))), **body}).headers["Location"]
    assert other != first
    assert mine.post("/", {"photos": upload(), **body, "caption": "Other"}).headers["Location"] not in (first, other)
    assert Post.objects.count() == 3


@pytest.mark.parametrize("key", ["", "x", "\0", "0" * 1000])
def test_a_form_with_an_invalid_key_is_accepted_without_one(mine, upload, key):
    for _ in range(2):
        assert mine.post("/", {"photos": upload(), "idempotency_key": key}).status_code == 302
    assert Post.objects.count() == 2


class TestExpiredLogin:
    """A person whose login has ended is sent to the login, and back afterwards."""

    @pytest.mark.parametrize(
        ("method", "name"),
        [
            ("get", "post-page"),
            ("get", "post-progress"),
            ("post", "post-page-steer"),
            ("post", "post-page-retry"),
            ("post", "post-page-delete"),
            ("post", "post-page-unchoose"),
            ("post", "post-page-show-all"),
        ],
    )
    def test_scripts_are_told_where_to_go(self, client, ready_post, method, name):
        shown = f"http://testserver{url('post-page', ready_post.pk)}?request=1#socialsongs-{ready_post.pk}"
        headers = {"HX-Request": "true", "HX-Current-URL": shown}
        answer = getattr(client, method)(url(name, ready_post.pk), headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
        back = quote(f"{url('post-page', ready_post.pk)}?request=1", safe="/")
        assert answer.headers["HX-Redirect"] == f"/accounts/login/?next={back}"

    def test_an_expired_login_is_answered_before_photos_are_read(self, client, upload):
        large = bytes(1_000_000)
        assert client.post("/", {"photos": upload(large)}, headers={"HX-Request": "true"}).status_code == 401
        assert client.post("/", {"photos": upload(large)}).status_code == 413

    @pytest.mark.parametrize("shown", ["http://elsewhere.example/", "http://testserver//elsewhere.example/", "", "x"])
    def test_the_login_leads_back_to_no_foreign_page(self, client, shown):
        answer = client.post("/", headers={"HX-Request": "true", "HX-Current-URL": shown})
        assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/"

    def test_a_form_leads_back_to_its_page(self, client, ready_post):
        page = url("post-page", ready_post.pk)
        steer = url("post-page-steer", ready_post.pk)
        assert client.post(steer).headers["Location"] == f"/accounts/login/?next={page}"
        referer = {"Referer": f"http://testserver{page}?request=1"}
        assert client.post(steer, headers=referer).headers["Location"] == f"/accounts/login/?next={page}%3Frequest%3D1"

    def test_a_host_s_own_login(self, client, settings):
        settings.LOGIN_URL = "https://id.example/login?site=songs"
        answer = client.post("/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/?page=2"})
        back = quote("http://testserver/?page=2", safe="/")
        assert answer.headers["HX-Redirect"] == f"https://id.example/login?site=songs&next={back}"

    def test_a_host_that_asks_everybody_to_log_in(self, client, settings):
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
        assert client.post("/", headers={"HX-Request": "true"}).status_code == 401


def test_a_script_that_steers_is_sent_to_the_new_list_or_told_why_not(mine, ready_post):
    headers = {"HX-Request": "true"}
    answer = mine.post(url("post-page-steer", ready_post.pk), {"text": "upbeat"}, headers=headers)
    request = ready_post.requests.get(text="upbeat")
    assert (
        answer.headers["HX-Redirect"]
        == f"{url('post-page', ready_post.pk)}?request={request.pk}#socialsongs-{ready_post.pk}"
    )
    refused = mine.post(url("post-page-steer", ready_post.pk), {"text": "..."}, headers=headers)
    assert refused.status_code == 422
    assert "<html" not in refused.content.decode()
    assert "Write words" in refused.content.decode()
    assert 'value="..."' in refused.content.decode()
    Post.objects.update(state=State.FAILED, reason="photo_unreadable")
    answer = mine.post(url("post-page-steer", ready_post.pk), {"text": "upbeat"}, headers=headers)
    assert "could not be read" in answer.content.decode()


def test_lists_show_thumbnails(mine, ready_post):
    page = mine.get("/").content.decode()
    for address, sides in (
        (url("post-photo", ready_post.pk, 0), (192, 384)),
        ("/samples/coffee", (72, 144)),
    ):
        assert f'src="{address}?side={sides[0]}" srcset="{address}?side={sides[1]} 2x"' in page
        for side in sides:
            answer = mine.get(f"{address}?side={side}")
            assert answer.headers["Content-Type"] == "image/webp"
            assert Image.open(BytesIO(answer.getvalue())).size == (side, side)


def test_pages_are_compressed_and_photos_are_not(mine, ready_post):
    headers = {"Accept-Encoding": "gzip"}
    page = mine.get("/", headers=headers)
    assert page.headers["Content-Encoding"] == "gzip"
    assert len(page.content) < len(mine.get("/").content) / 2
    for address in (url("post-photo", ready_post.pk, 0), "/samples/coffee", "/samples/coffee?side=72"):
        photo = mine.get(address, headers=headers)
        _ = photo.getvalue() if photo.streaming else photo.content  # read to its end, it is closed
        assert "Content-Encoding" not in photo.headers
