"""A real server, a real worker and a real Chromium, and alice who is logged in."""

import os
import shutil

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command

from socialsongs import dispatch
from socialsongs.models import SongEmbedding, State
from socialsongs.site.demo import answers
from socialsongs.site.processes import WEB, WORKER

from ..processes import free_port, process, wait_until
from ..skips import import_or_skip, without

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


# Marks of every module of tests here. Sequences restart with each test, so that content types keep their keys in
# all of them: the site runs on from test to test and caches them.
BROWSER = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, reset_sequences=True),
    pytest.mark.skipif(CHROMIUM is None, reason=without("Chromium", "chromium")),
]


def wait_for_truth(page, expression, seconds=20):
    """Poll from outside: Playwright's own polling evaluates a string of code, which the pages' policy forbids."""
    for _ in range(seconds * 10):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{expression} did not become true within {seconds} s")


@pytest.fixture(scope="module")
def browser():
    # Playwright runs an event loop in this thread; Django's ORM is still used from it, in turns.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    arguments = ["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    playwright = import_or_skip("playwright.sync_api")
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


@pytest.fixture(scope="module")
def site(tmp_path_factory, django_db_setup, django_db_blocker):
    """Start one site for all tests of a module, since a start takes seconds."""
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)
    address = f"127.0.0.1:{free_port()}"
    log = tmp_path_factory.mktemp("site") / "web.log"
    with process([*WEB, address], log):
        wait_until(lambda: answers(f"http://{address}"), log)
        yield f"http://{address}"


@pytest.fixture(scope="session")
def password():
    """“correct horse” as it is stored."""
    return make_password("correct horse")


@pytest.fixture
def page(browser, site, alice, password, client):
    """Open the home page as alice."""
    alice.password = password
    alice.save()
    client.force_login(alice)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(site)
    page.get_by_role("heading", name="Which song goes with your photo?").wait_for()
    yield page
    context.close()
    assert not problems
