"""The page without server, network or login, and when something is clicked twice."""

import re
from io import BytesIO

import pytest
from django.contrib.sessions.models import Session
from PIL import Image

from socialsongs.models import Feedback, Post, RecommendationRequest, State

from ..skips import import_or_skip
from .conftest import BROWSER

pytestmark = BROWSER
expect = import_or_skip("playwright.sync_api").expect


def photo():
    file = BytesIO()
    Image.effect_noise((800, 600), 80).save(file, "JPEG")
    return {"name": "sea.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}


def log_in(page):
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()


def forget_logins():
    Session.objects.all().delete()


@pytest.fixture
def songs(page, site, ready_post):
    """The page with the songs of a post."""
    page.goto(f"{site}/posts/{ready_post.pk}")
    expect(page.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)
    return page


@pytest.fixture
def waiting(page, site, ready_post):
    """The page of a post that waits for its songs."""
    Post.objects.update(state=State.QUEUED)
    page.goto(f"{site}/posts/{ready_post.pk}")
    expect(page.locator("[data-poll]")).to_be_visible()
    return page


def answer():
    Post.objects.update(state=State.READY)


class Others:
    """A proxy between page and site that answers in the site's place: (status, body), or a failure of the network."""

    answer: tuple[int, str] | str | None

    def __init__(self, page, answer):
        self.answer = answer
        page.route("**/progress*", self.reply)

    def reply(self, route):
        if self.answer is None:
            route.continue_()
        elif isinstance(self.answer, str):
            route.abort(self.answer)
        else:
            status, body = self.answer
            route.fulfill(status=status, content_type="text/html", body=body)


def test_polling_goes_on_by_itself(waiting):
    others = Others(waiting, (502, "<html><body>Bad gateway</body></html>"))
    status = waiting.get_by_role("status")
    expect(status).to_contain_text("The server had a problem (502). The photo is safe: this page asks again by itself.")
    expect(status).to_be_visible()
    others.answer = (503, "Maintenance")
    expect(status).to_contain_text("a problem (503)")
    answer()
    others.answer = None
    expect(waiting.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3, timeout=15_000)
    expect(status).to_have_text("3 songs for your photo.")
    assert not re.search("gateway|Maintenance", waiting.content())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((200, "<!doctype html><html><body>Log in to the hotel's network</body></html>"), "The answer did not come"),
        ("connectionrefused", "The server could not be reached"),
    ],
)
def test_polling_survives_any_answer_of_others(waiting, found, says):
    others = Others(waiting, found)
    expect(waiting.get_by_role("status")).to_contain_text(says)
    expect(waiting.locator("[data-poll]")).to_be_visible()
    answer()
    others.answer = None
    waiting.evaluate("dispatchEvent(new Event('online'))")  # it does not wait for the next poll
    expect(waiting.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)


def test_polling_ends_when_the_post_was_deleted_elsewhere(waiting):
    Post.objects.all().delete()
    expect(waiting.get_by_role("heading", name="This post no longer exists")).to_be_visible()
    expect(waiting.get_by_role("status")).to_have_text("This post no longer exists.")
    expect(waiting.locator("[data-poll]")).to_have_count(0)
    waiting.get_by_role("link", name="Back to your posts").click()
    expect(waiting.get_by_role("heading", name="Which song goes with your photo?")).to_be_visible()


def test_polling_goes_on_when_the_network_is_back(waiting):
    waiting.context.set_offline(True)
    expect(waiting.get_by_role("status")).to_contain_text("You are offline")
    answer()
    waiting.wait_for_timeout(1500)  # some attempts fail
    waiting.context.set_offline(False)
    expect(waiting.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)


def test_a_session_that_ends_while_a_page_waits_leads_to_the_login_and_back(waiting, ready_post):
    forget_logins()
    expect(waiting).to_have_url(re.compile(r"/accounts/login/\?next="))
    expect(waiting.locator("form.socialsongs-steer, [data-poll]")).to_have_count(0)
    answer()
    log_in(waiting)
    expect(waiting).to_have_url(re.compile(f"/posts/{ready_post.pk}$"))
    expect(waiting.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)


def test_a_session_that_ends_before_an_upload_keeps_what_was_typed(page):
    page.locator("input[type=file]").set_input_files(photo())
    page.get_by_label("Caption").fill("A day at the sea")
    page.get_by_label("Who can see it").select_option("public")
    forget_logins()
    page.get_by_role("button", name="Find songs").click()
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next=/$"))
    log_in(page)
    expect(page.get_by_label("Caption")).to_have_value("A day at the sea")
    expect(page.get_by_label("Who can see it")).to_have_value("public")
    expect(page.get_by_role("alert")).to_contain_text("Choose the photo again")
    page.locator("input[type=file]").set_input_files(photo())
    page.get_by_role("button", name="Find songs").click()
    expect(page.locator("[data-poll]")).to_be_visible()
    assert (Post.objects.get().caption, Post.objects.get().visibility) == ("A day at the sea", "public")


def test_what_was_typed_is_not_shown_to_somebody_else(page, bob):
    bob.set_password("correct horse")
    bob.save()
    page.get_by_label("Caption").fill("Only for alice")
    forget_logins()
    page.get_by_role("button", name="Try the sample photo: coffee").click()
    page.get_by_label("Name").fill("bob")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_label("Caption")).to_have_value("")
    assert "alice" not in page.evaluate("JSON.stringify(sessionStorage)")


def test_a_session_that_ends_before_steering_keeps_the_words(songs, ready_post):
    songs.get_by_label("Steer").fill("upbeat summer")
    forget_logins()
    songs.get_by_role("button", name="Other songs").click()
    expect(songs).to_have_url(re.compile(r"/accounts/login/"))
    log_in(songs)
    expect(songs).to_have_url(re.compile(f"/posts/{ready_post.pk}$"))
    expect(songs.get_by_label("Steer")).to_have_value("upbeat summer")
    songs.get_by_role("button", name="Other songs").click()
    expect(songs.get_by_text("Looking for songs: upbeat summer").first).to_be_visible()


def test_a_session_that_ends_before_a_click_leads_to_the_login_and_back(songs, ready_post):
    songs.on("dialog", lambda dialog: dialog.accept())
    for button in ("Choose Song 2", "Not this: Song 2", "Delete post"):
        forget_logins()
        songs.get_by_role("button", name=button).click()
        expect(songs).to_have_url(re.compile(r"/accounts/login/"))
        log_in(songs)
        expect(songs).to_have_url(re.compile(f"/posts/{ready_post.pk}$"))
        expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)
    assert Post.objects.get().chosen_song is None


def test_a_page_from_before_another_login_says_so_and_keeps_the_words(songs, site):
    songs.get_by_label("Steer").fill("upbeat summer")
    songs.context.add_cookies([{"name": "csrftoken", "value": "x" * 32, "url": site}])  # as after another login
    songs.get_by_role("button", name="Other songs").click()
    expect(songs.get_by_role("alert")).to_contain_text("out of date")
    assert RecommendationRequest.objects.count() == 1
    songs.get_by_role("link", name="Reload the page").click()
    expect(songs.get_by_role("alert")).to_have_count(0)
    expect(songs.get_by_label("Steer")).to_have_value("upbeat summer")
    songs.get_by_role("button", name="Other songs").click()
    expect(songs.get_by_text("Looking for songs: upbeat summer").first).to_be_visible()


def test_what_fails_offline_says_so_where_it_was_clicked(songs):
    songs.on("dialog", lambda dialog: dialog.accept())
    songs.get_by_label("Steer").fill("upbeat summer")
    songs.context.set_offline(True)
    for count, button in enumerate(("Choose Song 2", "Not this: Song 3", "Other songs", "Delete post"), start=1):
        clicked = songs.get_by_role("button", name=button)
        clicked.click()
        told = songs.get_by_role("alert")
        expect(told).to_have_count(count)
        heights = [one.bounding_box()["y"] for one in told.all()]
        assert min(abs(height - clicked.bounding_box()["y"]) for height in heights) < 120
        expect(told.first).to_contain_text("You are offline. Nothing is lost: try again when you are back.")
    expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)
    expect(songs.get_by_label("Steer")).to_have_value("upbeat summer")
    songs.context.set_offline(False)
    songs.get_by_role("button", name="Choose Song 2").click()
    expect(songs.get_by_role("region", name="Chosen song")).to_contain_text("Song 2")


def test_a_song_that_is_gone_says_so(songs):
    Post.objects.get().requests.get().suggestions.get(rank=2).song.delete()
    songs.get_by_role("button", name="Choose Song 2").click()
    expect(songs.get_by_role("alert")).to_contain_text("no longer exists")
    songs.get_by_role("link", name="Reload the page").click()
    expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(2)


def test_what_the_server_refused_is_no_longer_said_of_the_next_photo(page):
    page.locator("input[type=file]").set_input_files({**photo(), "buffer": b"no photo"})
    page.get_by_role("button", name="Find songs").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not a JPEG")
    page.locator("input[type=file]").set_input_files(photo())
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_double_click_on_a_sample_makes_one_post(page):
    page.get_by_role("button", name="Try the sample photo: coffee").dblclick()
    expect(page.locator("[data-poll]")).to_be_visible()
    page.wait_for_timeout(500)
    assert Post.objects.count() == 1


def test_a_double_click_without_the_script_makes_one_post(browser, page, site):
    plain = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    tab = plain.new_page()
    tab.goto(site)
    tab.get_by_role("button", name="Try the sample photo: coffee").dblclick()
    expect(tab.get_by_text("Your photo is in the queue")).to_be_visible()
    plain.close()
    assert Post.objects.count() == 1


def test_back_and_sent_again_is_one_post_and_another_photo_another(page):
    for name, posts in (("coffee", 1), ("coffee", 1), ("cat", 2)):
        page.get_by_role("button", name=f"Try the sample photo: {name}").click()
        expect(page.locator("[data-poll]")).to_be_visible()
        assert Post.objects.count() == posts
        page.go_back()
        expect(page.get_by_role("heading", name="Which song goes with your photo?")).to_be_visible()


def test_an_upload_whose_answer_was_lost_is_sent_again_as_the_same_post(page):
    page.locator("input[type=file]").set_input_files(photo())
    page.get_by_label("Caption").fill("A day at the sea")

    def lose(route):
        if route.request.method == "POST":
            route.fetch()  # it reached the server
            return route.abort()
        return route.continue_()

    page.route(re.compile("/$"), lose)
    page.get_by_role("button", name="Find songs").click()
    expect(page.get_by_role("alert")).to_contain_text("could not be reached. Nothing is lost")
    page.unroute(re.compile("/$"))
    page.get_by_role("button", name="Find songs").click()
    expect(page.locator("[data-poll]")).to_be_visible()
    assert Post.objects.count() == 1


def test_a_double_click_on_choose_chooses_one_song(songs):
    songs.get_by_role("button", name="Choose Song 2").dblclick()
    expect(songs.get_by_role("region", name="Chosen song")).to_contain_text("Song 2")
    songs.wait_for_timeout(500)
    assert Post.objects.get().chosen_song.title == "Song 2"
    assert list(Feedback.objects.exclude(kind="impression").values_list("kind", "song__title")) == [
        ("choose", "Song 2")
    ]
