"""A person with a browser posts a photo and picks a song. Real server, real worker, real Chromium."""

import re
from pathlib import Path

import pytest

from socialsongs.models import Feedback, Post, State

from ..skips import import_or_skip
from .conftest import BROWSER

pytestmark = [*BROWSER, pytest.mark.worker]
expect = import_or_skip("playwright.sync_api").expect


def sample(name):
    skimage = import_or_skip("skimage")
    return str(Path(skimage.__file__).parent / "data" / name)


def test_from_photo_to_song(worker, page):
    page.locator("input[type=file]").set_input_files(sample("coffee.png"))
    expect(page.locator("[data-previews] img")).to_be_visible()
    page.get_by_label("Caption").fill("First cup")
    page.get_by_role("button", name="Find songs").click()

    cards = page.locator(".socialsongs-songs .socialsongs-card")
    expect(cards).to_have_count(10, timeout=30_000)
    expect(cards.first.locator("mark")).not_to_be_empty()
    tag = page.locator(".socialsongs-card button.socialsongs-tag").first
    expect(tag).to_be_visible()
    tag.focus()
    region = page.locator(".socialsongs-region")
    expect(region).to_be_visible()
    box, photo = region.bounding_box(), page.locator(".socialsongs-photo img").bounding_box()
    assert photo["x"] - 4 <= box["x"] <= photo["x"] + photo["width"]
    assert 0 < box["width"] <= photo["width"] + 8

    second = cards.nth(1).get_by_role("heading").inner_text()
    first = cards.first.get_by_role("heading").inner_text()
    cards.first.get_by_role("button", name=re.compile("Not this")).focus()
    page.keyboard.press("Enter")
    expect(cards).to_have_count(9)
    expect(cards.first.get_by_role("heading")).to_have_text(second)
    expect(page.get_by_role("button", name=f"Undo: show {first} again")).to_be_focused()

    cards.first.get_by_role("button", name=re.compile("Choose")).click()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(second)
    post = Post.objects.get()
    assert post.chosen_song.title == second
    kinds = set(Feedback.objects.values_list("kind", "song__title"))
    assert {("hide", first), ("choose", second), ("impression", first)} <= kinds

    page.reload()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(second)
    page.get_by_role("link", name="Choose another").click()
    expect(cards).to_have_count(8)
    page.get_by_role("button", name="Remove song").click()
    expect(cards).to_have_count(9)


def test_other_songs_by_a_few_words_and_back(worker, page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Try the sample photo: coffee").click()
    cards = page.locator(".socialsongs-songs .socialsongs-card")
    expect(cards).to_have_count(10, timeout=30_000)
    first = cards.first.get_by_role("heading").inner_text()

    page.get_by_label("Steer").fill("dancing all night")
    page.get_by_role("button", name="Other songs").click()
    expect(page.get_by_role("link", name="Back to the first songs")).to_be_visible()
    expect(cards).to_have_count(10, timeout=30_000)
    expect(page.get_by_label("Steer")).to_have_value("dancing all night")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    expect(page.locator(".socialsongs-result")).to_be_in_viewport()
    chosen = cards.nth(1).get_by_role("heading").inner_text()
    cards.nth(1).get_by_role("button", name=re.compile("Choose")).click()
    expect(page.get_by_role("region", name="Chosen song").get_by_role("heading")).to_have_text(chosen)
    choice = Feedback.objects.get(kind="choose")
    assert (choice.request.text, choice.rank) == ("dancing all night", 2)

    page.get_by_role("button", name="Remove song").click()
    expect(cards).to_have_count(10)
    page.get_by_role("link", name="Back to the first songs").click()
    expect(cards.first.get_by_role("heading")).to_have_text(first)
    expect(page.get_by_label("Steer")).to_be_empty()


def test_with_the_keyboard_alone_on_a_phone(worker, page):
    page.set_viewport_size({"width": 360, "height": 700})
    page.get_by_role("button", name="Try the sample photo: cat").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".socialsongs-songs .socialsongs-card")).to_have_count(10, timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_refused_photo_says_why_and_stays(page, tmp_path):
    words = tmp_path / "holiday.jpg"
    words.write_text("these are words")
    page.locator("input[type=file]").set_input_files(str(words))
    page.get_by_role("button", name="Find songs").click()
    expect(page.get_by_role("alert")).to_contain_text("not a JPEG, PNG, WebP or HEIC photo")
    expect(page.locator("#socialsongs-upload-error")).to_have_count(1)
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
