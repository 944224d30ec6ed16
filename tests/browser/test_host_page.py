"""The songs inside a page of the host that has styles and scripts of its own."""

from urllib.parse import urlencode

import pytest

from socialsongs.models import Feedback, Post, State

from ..skips import import_or_skip
from .conftest import BROWSER

pytestmark = [*BROWSER, pytest.mark.urls("tests.host_pages")]
expect = import_or_skip("playwright.sync_api").expect

# Computed styles of every element of the host's own, except of those whose height follows from the songs in them.
STYLES = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.id !== "slot" && !element.closest(".socialsongs"))
  .map((element) => {
    const style = getComputedStyle(element);
    return [element.outerHTML.slice(0, 60), ...[...style].map((name) => `${name}: ${style.getPropertyValue(name)}`)];
  })"""


@pytest.fixture
def open_page(browser, live_server, client, alice, ready_post, settings):
    """Return a function that opens the host's page as alice."""
    # The test server finds static files by their own names.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    client.force_login(alice)
    contexts, problems = [], []

    def open_it(*, scripts=True, **query):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=scripts)
        contexts.append(context)
        session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
        context.add_cookies([session])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.goto(f"{live_server.url}/photos/?{urlencode({'post': ready_post.pk, **query}, doseq=True)}")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not problems


def test_the_hosts_elements_look_and_act_as_before(open_page, ready_post):
    before = open_page(songs=0).evaluate(STYLES)
    assert len(before) > 15
    page = open_page()
    expect(page.locator(".socialsongs-card")).to_have_count(3)
    assert page.evaluate(STYLES) == before
    page.get_by_role("button", name="Follow").dblclick()
    expect(page).to_have_title("played 2 mine")
    # And the host's rules for names such as .card are not about ours.
    card = page.locator(".socialsongs-card").first
    assert card.evaluate("element => getComputedStyle(element).outlineStyle") == "none"
    title = card.get_by_role("heading")
    assert title.evaluate("element => getComputedStyle(element).color") == "rgb(28, 26, 38)"  # dark on a light panel


def test_it_waits_and_then_shows_songs_to_choose_and_hide(open_page, ready_post):
    Post.objects.update(state=State.QUEUED)
    page = open_page()
    address = page.url
    expect(page.locator("[data-poll]")).to_be_visible()
    Post.objects.update(state=State.READY)
    cards = page.locator(".socialsongs-card")
    expect(cards).to_have_count(3)
    expect(page.get_by_role("status")).to_have_text("3 songs for your photo.")
    page.get_by_role("button", name="Not this: Song 2").click()
    expect(cards).to_have_count(2)
    page.get_by_role("button", name="Undo: show Song 2 again").click()
    expect(cards).to_have_count(3)
    page.get_by_role("button", name="Choose Song 3").click()
    expect(page.get_by_role("region", name="Chosen song")).to_be_focused()
    page.get_by_role("button", name="Remove song").click()
    expect(page.get_by_role("button", name="Undo: choose Song 3 again")).to_be_visible()
    assert page.url == address
    assert page.locator("#status").inner_text().upper() == "PHOTOS OF THE HOST"
    assert Feedback.objects.filter(kind="choose").count() == 1


def test_the_same_songs_twice_act_once_and_apart(open_page, ready_post):
    page = open_page(post=[ready_post.pk, ready_post.pk])
    requests = []
    page.on("request", lambda request: request.method == "POST" and requests.append(request.url))
    places = page.locator(".socialsongs-result")
    expect(places).to_have_count(2)
    places.nth(1).get_by_role("button", name="Choose Song 3").click()
    expect(places.nth(1).get_by_role("region", name="Chosen song")).to_be_visible()
    expect(places.nth(0).locator(".socialsongs-card")).to_have_count(3)
    assert len(requests) == 1


def test_it_works_without_scripts(open_page, ready_post):
    page = open_page(scripts=False)
    page.get_by_role("button", name="Choose Song 3").click()
    expect(page.get_by_role("heading", name="Photos of the host")).to_be_visible()
    expect(page.get_by_role("region", name="Chosen song")).to_contain_text("Song 3")
    assert page.url.endswith(f"#socialsongs-{ready_post.pk}")
