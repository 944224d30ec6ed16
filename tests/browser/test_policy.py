"""Every page in a real browser: nothing on it breaks the content security policy."""

import os
from urllib.parse import urljoin, urlsplit

import pytest

from socialsongs.models import Rule, Song
from socialsongs.services.access import record_access
from socialsongs.services.taste import offer_taste

from ..clips import wav
from .conftest import BROWSER, wait_for_truth

pytestmark = BROWSER

SEEN = "violations"
# Pages that differ by a row's id count once; addresses that end the session are left out.
LEFT_OUT = ("/logout/", "/static/", "/api/v1/", "/samples/", "format=")


@pytest.fixture
def everything(ready_post, alice, staff, make_song):
    from django.core.files.base import ContentFile

    make_song("With a clip", preview_file=ContentFile(wav(), "a.wav"))
    make_song("With a clip elsewhere", preview_url="https://example.org/a.mp3")
    Rule.objects.create(name="Summer", action="block", genre="pop")
    offer_taste(user=alice)
    record_access(reader=staff, posts=[ready_post], door="api")
    staff.set_password("correct horse")
    staff.save()
    return ready_post


@pytest.fixture
def watched(browser, site):
    """Return a page, and the list of violations that its browser reports."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    complaints = []
    context.expose_binding(SEEN, lambda source, what: complaints.append((source["page"].url, what)))
    context.add_init_script(
        f"document.addEventListener('securitypolicyviolation', event => window.{SEEN}("
        "`${event.effectiveDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`))"
    )
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append((page.url, str(error))))
    page.on(
        "console",
        lambda message: "Content Security Policy" in message.text and complaints.append((page.url, message.text)),
    )
    yield page, complaints
    context.close()


def kind(url):
    """Return a page's path without ids: one page of each kind is enough."""
    parts = urlsplit(url)
    path = "/".join("#" if any(map(str.isdigit, part)) else part for part in parts.path.split("/"))
    return path, parts.query.partition("=")[0]


def crawl(page, start, most=120):
    """Open a page of every kind that links lead to; return the kinds."""
    ahead, known = [start], set()
    while ahead and len(known) < most:
        url = ahead.pop(0)
        if kind(url) in known or any(part in url for part in LEFT_OUT):
            continue
        known.add(kind(url))
        page.goto(url, wait_until="load")
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
        ahead += [urljoin(url, link) for link in links if urlsplit(link).netloc == urlsplit(start).netloc]
    return {path for path, _ in known}


def test_no_page_breaks_the_policy(watched, site, everything):
    page, complaints = watched
    page.goto(f"{site}/admin/login/")
    page.get_by_label("Username").fill("staff")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Log in").click()
    found = crawl(page, f"{site}/admin/")
    for path in (f"/posts/{everything.pk}", "/nowhere", "/health/", "/", "/admin/nowhere/", "/api/schema/ui/"):
        page.goto(site + path, wait_until="load")
    page.wait_for_selector(".opblock", timeout=30_000)
    page.locator(".opblock-summary").first.click()
    page.wait_for_selector("text=Try it out")
    # A photo's preview, before it is sent.
    page.goto(f"{site}/")
    from skimage import data

    page.locator("input[type=file]").set_input_files(os.path.join(os.path.dirname(data.__file__), "coffee.png"))
    wait_for_truth(page, "document.querySelector('[data-previews] img')?.naturalWidth > 0")
    # A clip plays, though it is sent as an attachment, and the field that looks for songs opens.
    song = Song.objects.exclude(preview_file="").get()
    page.goto(f"{site}/admin/socialsongs/song/{song.pk}/change/")
    page.evaluate("document.querySelector('audio').play()")
    wait_for_truth(page, "document.querySelector('audio').currentTime > 0")
    page.goto(f"{site}/admin/socialsongs/rule/add/")
    page.locator(".select2-selection").first.click()
    page.wait_for_selector(".select2-results__option:has-text('With a clip')")
    for model in ("post", "song", "rule", "taste", "postaccess", "worker", "modelrelease", "feedback"):
        assert f"/admin/socialsongs/{model}/" in found
    for row in ("socialsongs/song", "socialsongs/post", "socialsongs/recommendationrequest", "auth/user"):
        assert f"/admin/{row}/#/change/" in found
    assert not complaints


def test_no_page_before_the_login_breaks_the_policy(watched, site, everything):
    page, complaints = watched
    for path in ("/accounts/login/", "/admin/login/", "/nowhere", "/health/", "/health/ready/"):
        page.goto(site + path, wait_until="load")
    page.goto(f"{site}/accounts/login/")
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("[role=alert]")
    page.context.clear_cookies()
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("text=The form is too old")
    assert not complaints
