"""Hiding, choosing and announcements for screen readers; and the size of a page."""

import re

import pytest

from socialsongs.models import Feedback, Post, State
from socialsongs.services.posts import create_post

from ..skips import import_or_skip
from .conftest import BROWSER

pytestmark = BROWSER
expect = import_or_skip("playwright.sync_api").expect


@pytest.fixture
def songs(page, site, ready_post):
    page.goto(f"{site}/posts/{ready_post.pk}")
    expect(page.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)
    return page


def titles(page):
    return page.locator(".socialsongs-songs .socialsongs-card h2").all_inner_texts()


def test_not_this_can_be_undone_where_it_was(songs):
    songs.get_by_role("button", name="Not this: Song 2").focus()
    songs.keyboard.press("Enter")
    undo = songs.get_by_role("button", name="Undo: show Song 2 again")
    expect(undo).to_be_focused()
    expect(songs.get_by_role("status")).to_have_text("“Song 2” is hidden for this post.")
    assert titles(songs) == ["Song 1", "Song 3"]
    items = songs.locator(".socialsongs-songs > li")
    expect(items).to_have_count(3)
    expect(items.nth(1)).to_contain_text("“Song 2” is hidden")

    songs.keyboard.press("Enter")
    expect(songs.locator(".socialsongs-songs .socialsongs-card").nth(1)).to_be_focused()
    assert titles(songs) == ["Song 1", "Song 2", "Song 3"]
    assert not Feedback.objects.filter(kind="hide").exists()


def test_songs_hidden_earlier_can_be_shown_again(songs):
    for title in ("Song 1", "Song 3"):
        songs.get_by_role("button", name=f"Not this: {title}").click()
        expect(songs.get_by_role("button", name=f"Undo: show {title} again")).to_be_visible()
    songs.reload()
    assert titles(songs) == ["Song 2"]
    songs.get_by_text("Hidden songs (2)").click()
    songs.get_by_role("button", name="Show Song 3 again").click()
    expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(2)
    assert titles(songs) == ["Song 2", "Song 3"]


def test_hiding_all_leaves_ways_on(songs):
    for count, title in ((2, "Song 1"), (1, "Song 2"), (0, "Song 3")):
        songs.get_by_role("button", name=f"Not this: {title}").click()
        expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(count)
    expect(songs.get_by_role("heading", name="All songs are hidden")).to_be_visible()
    expect(songs.get_by_role("button", name="Undo: show Song 3 again")).to_be_focused()
    expect(songs.get_by_label("Steer")).to_be_visible()
    expect(songs.get_by_role("link", name="choose another photo")).to_be_visible()
    songs.get_by_role("button", name="Show hidden songs again").click()
    expect(songs.locator(".socialsongs-songs .socialsongs-card")).to_have_count(3)


def test_choosing_says_so_and_takes_the_person_there(songs):
    songs.set_viewport_size({"width": 390, "height": 700})
    songs.get_by_role("button", name="Choose Song 3").click()
    chosen = songs.get_by_role("region", name="Chosen song")
    expect(chosen).to_be_focused()
    expect(chosen).to_be_in_viewport()
    expect(songs.get_by_role("status")).to_have_text("“Song 3” by The Ferry Hands is now the song of this post.")


def test_to_choose_another_keeps_the_song_until_it_is_chosen(songs):
    songs.get_by_role("button", name="Choose Song 3").click()
    chosen = songs.get_by_role("region", name="Chosen song")
    chosen.get_by_role("link", name="Choose another").click()
    expect(songs.get_by_role("heading", name="Other songs that fit")).to_be_focused()
    assert Post.objects.get().chosen_song.title == "Song 3"
    songs.get_by_role("button", name="Choose Song 1").click()
    expect(chosen).to_contain_text("Song 1")
    assert Post.objects.get().chosen_song.title == "Song 1"


def test_a_song_that_was_removed_can_be_taken_back(songs):
    songs.get_by_role("button", name="Choose Song 3").click()
    songs.get_by_role("button", name="Remove song").click()
    undo = songs.get_by_role("button", name="Undo: choose Song 3 again")
    expect(undo).to_be_focused()
    assert Post.objects.get().chosen_song is None
    songs.keyboard.press("Enter")
    expect(songs.get_by_role("region", name="Chosen song")).to_be_focused()
    assert Post.objects.get().chosen_song.title == "Song 3"


def test_new_songs_are_announced_in_a_few_words(page, site, ready_post):
    Post.objects.update(state=State.QUEUED)
    page.goto(f"{site}/posts/{ready_post.pk}")
    status = page.get_by_role("status")
    expect(status).to_have_count(1)
    page.evaluate("window.told = document.querySelector('[data-status]')")  # the same element before and after
    Post.objects.update(state=State.ANALYSING)
    expect(status).to_have_text("Analysing your photo and finding songs…")
    Post.objects.update(state=State.READY)
    expect(status).to_have_text("3 songs for your photo.")
    assert page.evaluate("window.told.isConnected")
    live = page.locator("[aria-live], [role=status], [role=alert], [role=log]")
    assert not any("tide" in text for text in live.all_text_contents())


NATURAL = """() => {
  const select = document.getElementById("socialsongs-visibility");
  const free = select.cloneNode(true);
  Object.assign(free.style, { position: "absolute", width: "max-content" });
  select.after(free);
  const width = free.offsetWidth;
  free.remove();
  return width;
}"""


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_is_cut_off(page, site, alice, width):
    alice.is_staff = True
    alice.save()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(site)
    select = page.get_by_label("Who can see it")
    assert page.evaluate(NATURAL) <= select.bounding_box()["width"]
    navigation = page.get_by_role("navigation", name="Account")
    heights = [one.bounding_box()["height"] for one in navigation.locator("a, button").all()]
    assert len(heights) == 3
    assert max(heights) < 44  # one line each
    for path in ("/", "/accounts/password/"):
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_password_form_says_what_it_wants_and_ticks_are_small(page, site):
    page.goto(f"{site}/accounts/password/")
    new = page.get_by_label("New password", exact=True)
    expect(new).to_have_accessible_description(re.compile("at least 10 characters"))
    assert page.get_by_role("checkbox").bounding_box()["width"] < 30


@pytest.fixture
def posts(alice, photo_bytes, upload):
    """Make twelve posts with photos of noise, which compress worst."""
    from io import BytesIO

    from PIL import Image

    for number in range(12):
        noise = Image.effect_noise((1600, 1200), 60 + number).convert("RGB")
        file = BytesIO()
        noise.save(file, "JPEG", quality=85)
        create_post(owner=alice, uploads=[upload(file.getvalue())])


def test_the_home_page_is_light(posts, page, site, browser):
    tab = browser.new_context(storage_state=page.context.storage_state(), viewport={"width": 1280, "height": 2400})
    cold = tab.new_page()
    cold.goto(site, wait_until="networkidle")
    expect(cold.locator(".socialsongs-tiles img")).to_have_count(12)
    weights = cold.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map(entry => [entry.name, entry.transferSize])"
    )
    thumbnails = [size for name, size in weights if "side=" in name]
    assert len(thumbnails) == 20
    assert all(thumbnails)
    total = sum(size for _, size in weights)
    print(f"{total} bytes, {sum(thumbnails)} of them thumbnails")
    assert total < 300_000, weights
    tab.close()
