"""A person with a browser posts a photo and picks a song. Real server, real worker, real Chromium."""

import os
import re
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from socialsongs import dispatch
from socialsongs.models import Feedback, Post, SongEmbedding, State
from socialsongs.site.demo import answers
from socialsongs.site.processes import WEB, WORKER

from ..processes import free_port, process, wait_until

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]
expect = playwright.expect


@pytest.fixture(scope="module")
def browser():
    # Playwright runs an event loop in this thread; Django's ORM is still used from it, in turns.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    arguments = ["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def worker(tmp_path):
    call_command("import_songs", sample=True, verbosity=0)
    call_command("releases", "register")
    log = tmp_path / "worker.log"
    with process(WORKER, log):
        dispatch.send(dispatch.DRAIN_BULK)
        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), log)
        yield log


@pytest.fixture
def site(tmp_path, db):
    address = f"127.0.0.1:{free_port()}"
    log = tmp_path / "web.log"
    with process([*WEB, address], log):
        wait_until(lambda: answers(f"http://{address}"), log)
        yield f"http://{address}"


@pytest.fixture
def page(browser, site, alice):
    alice.set_password("correct horse")
    alice.save()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(site)
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Which song goes with your photo?")).to_be_visible()
    yield page
    context.close()
    assert not problems


def sample(name):
    skimage = pytest.importorskip("skimage")
    return str(Path(skimage.__file__).parent / "data" / name)


def test_from_photo_to_song(worker, page):
    page.locator("input[type=file]").set_input_files(sample("coffee.png"))
    expect(page.locator("[data-previews] img")).to_be_visible()
    page.get_by_label("Caption").fill("First cup")
    page.get_by_role("button", name="Find songs").click()

    cards = page.locator(".songs .card")
    expect(cards).to_have_count(10, timeout=30_000)
    expect(cards.first.locator("mark")).not_to_be_empty()
    tag = page.locator(".card button.tag").first
    expect(tag).to_be_visible()
    tag.focus()
    region = page.locator(".region")
    expect(region).to_be_visible()
    box, photo = region.bounding_box(), page.locator(".photo img").bounding_box()
    assert photo["x"] - 4 <= box["x"] <= photo["x"] + photo["width"]
    assert 0 < box["width"] <= photo["width"] + 8

    second = cards.nth(1).get_by_role("heading").inner_text()
    first = cards.first.get_by_role("heading").inner_text()
    cards.first.get_by_role("button", name=re.compile("Not this")).focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(9)
    expect(cards.first.get_by_role("heading")).to_have_text(second)
    expect(cards.first).to_be_focused()

    cards.first.get_by_role("button", name=re.compile("Choose")).click()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(second)
    post = Post.objects.get()
    assert post.chosen_song.title == second
    kinds = set(Feedback.objects.values_list("kind", "song__title"))
    assert {("hide", first), ("choose", second), ("impression", first)} <= kinds

    page.reload()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(second)
    page.get_by_role("button", name="Choose another").click()
    expect(cards).to_have_count(9)


def test_other_songs_by_a_few_words_and_back(worker, page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Try the sample photo: coffee").click()
    cards = page.locator(".songs .card")
    expect(cards).to_have_count(10, timeout=30_000)
    first = cards.first.get_by_role("heading").inner_text()

    page.get_by_label("Steer").fill("dancing all night")
    page.get_by_role("button", name="Other songs").click()
    expect(page.get_by_role("link", name="Back to the first songs")).to_be_visible()
    expect(cards).to_have_count(10, timeout=30_000)
    expect(page.get_by_label("Steer")).to_have_value("dancing all night")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator("#result")).to_be_in_viewport()
    chosen = cards.nth(1).get_by_role("heading").inner_text()
    cards.nth(1).get_by_role("button", name=re.compile("Choose")).click()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(chosen)
    choice = Feedback.objects.get(kind="choose")
    assert (choice.request.text, choice.rank) == ("dancing all night", 2)

    page.get_by_role("button", name="Choose another").click()
    expect(cards).to_have_count(10)
    page.get_by_role("link", name="Back to the first songs").click()
    expect(cards.first.get_by_role("heading")).to_have_text(first)
    expect(page.get_by_label("Steer")).to_be_empty()


def test_with_the_keyboard_alone_on_a_phone(worker, page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Try the sample photo: cat").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".songs .card")).to_have_count(10, timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_refused_photo_says_why_and_stays(page, tmp_path):
    words = tmp_path / "holiday.jpg"
    words.write_text("these are words")
    page.locator("input[type=file]").set_input_files(str(words))
    page.get_by_role("button", name="Find songs").click()
    expect(page.get_by_role("alert")).to_contain_text("not a JPEG, PNG, WebP or HEIC photo")
    expect(page.locator("#upload-error")).to_have_count(1)
    assert page.locator("input[type=file]").evaluate("input => input.files.length") == 1
    assert not Post.objects.exists()


def test_a_failed_photo_says_why_and_what_to_do(page, alice, upload, site):
    from socialsongs.services.posts import create_post

    post, _ = create_post(owner=alice, uploads=[upload()])
    Post.objects.update(state=State.FAILED, reason="photo_unreadable")
    page.goto(f"{site}/posts/{post.pk}")
    expect(page.get_by_role("alert")).to_contain_text("could not be read")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("in the queue")
