"""A photo-sharing site with everything of its own adopts the wheel, and its photos get songs: old ones and new ones."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from .adoption import ADOPTED, SITE, edited, written
from .blank_project import empty_database, form_with_a_photo, listens, manage, running
from .processes import ROOT, free_port
from .tools import NEEDS_TOOLS

pytestmark = [pytest.mark.worker, NEEDS_TOOLS]
MAKE_MEMBER = (
    "from photos.models import Member; print(Member.objects.create_user({name!r}, password='sea-and-tide').device)"
)


def test_the_docs_have_the_lines_that_the_site_edits_and_they_are_few():
    guide = ROOT / "docs" / "getting-started.md"
    assert guide.read_text() == written(guide.read_text()), "run `make adoption`"
    assert sum(map(len, edited().values())) <= 10


@pytest.fixture
def python(wheel, tmp_path):
    """Return the Python of a new environment with the wheel; its dependencies are those of the tests' environment."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    shutil.unpack_archive(wheel, own, "zip")
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


class Browser:
    """A person of the site: with their device at the API, and logged in at the pages."""

    def __init__(self, site, device=None):
        self.site, self.device = site, device

    def call(self, method, path, body=None, content_type=None):
        request = urllib.request.Request(self.site + path, data=body, method=method)
        if self.device:
            request.add_header("X-Device", self.device)
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                content = response.read()
                return response.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post_photo(self, **fields):
        body, content_type = form_with_a_photo("file", **fields)
        status, photo = self.call("POST", "/app/api/photos/", body, content_type)
        assert status == 201, photo
        return photo["id"]


@pytest.fixture
def site(tmp_path):
    """Write the site as it was before, and make its database. Yields folder, environment."""
    folder = tmp_path / "site"
    shutil.copytree(SITE, folder)
    with empty_database() as (database, broker):
        yield (
            folder,
            {
                "PATH": "/usr/bin:/bin",
                "DJANGO_SETTINGS_MODULE": "photosite.settings",
                "PYTHONPATH": str(folder),
                "SITE_SECRET_KEY": "only-for-this-test",
                "SITE_DATABASE_URL": database,
                "SITE_BROKER_URL": broker,
            },
        )


def test_the_photos_of_a_site_get_songs(python, site, tmp_path):
    folder, environment = site
    run = partial(manage, python, folder, environment)
    run("migrate", "--verbosity", "0")
    device = run("shell", "--no-imports", "-c", MAKE_MEMBER.format(name="ada")).split()[-1]
    other = run("shell", "--no-imports", "-c", MAKE_MEMBER.format(name="ben")).split()[-1]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    ada, ben = Browser(address, device), Browser(address, other)
    web = [python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]

    with running(web, folder, environment, tmp_path / "before.log"):
        wait_for(lambda: listens(port), tmp_path / "before.log")
        old = ada.post_photo(text="Before the songs")

    shutil.copytree(ADOPTED, folder, dirs_exist_ok=True)  # the edited lines
    run("migrate", "--verbosity", "0")
    run("check", "--database", "default", "--fail-level", "WARNING")
    run("socialsongs_releases", "register")
    run("socialsongs_import_songs", "--sample")
    worker = [python, "manage.py", "socialsongs_worker"]
    log = tmp_path / "worker.log"
    with ExitStack() as stack:
        stack.enter_context(running(web, folder, environment, tmp_path / "web.log"))
        stack.enter_context(running(worker, folder, environment, log))
        wait_for(lambda: listens(port), tmp_path / "web.log")
        new = ada.post_photo(text="By the sea", is_public="true")

        posts = wait_for(lambda: ready_posts(ada, 2), log)
        assert {post["attached_photo"]["id"] for post in posts} == {str(old), str(new)}
        by_photo = {int(post["attached_photo"]["id"]): post for post in posts}
        assert (by_photo[new]["caption"], by_photo[new]["visibility"]) == ("By the sea", "public")
        assert by_photo[old]["visibility"] == "private"

        path = by_photo[new]["url"].removeprefix(address)
        post = ada.call("GET", path)[1]
        song = post["suggestions"][0]["song"]["id"]
        choice = json.dumps({"song": song}).encode()
        assert ada.call("POST", f"{path}/choice", choice, "application/json")[0] == 200
        assert ben.call("POST", f"{path}/choice", choice, "application/json")[0] == 404
        assert ben.call("GET", path)[1]["chosen_song"]["id"] == song
        assert ben.call("GET", path)[1]["suggestions"] is None
        assert ben.call("GET", by_photo[old]["url"].removeprefix(address))[0] == 404
        assert Browser(address).call("GET", path)[0] == 401

        page = page_of(run, new)
        assert "By the sea" in page
        assert post["suggestions"][0]["song"]["title"] in page
        assert ada.call("DELETE", f"/app/api/photos/{new}/")[0] == 204
        assert ada.call("GET", path)[0] == 404
        assert re.search(r"done; 0 posts are queued", run("socialsongs_backfill", "photos.Photo"))
    assert [file.parent.name for file in (folder / "bucket").rglob("*") if file.is_file()] == ["photos", "photos"]


def ready_posts(person, count):
    _, page = person.call("GET", "/app/songs/api/v1/posts")
    posts = page["results"]
    assert not [post for post in posts if post["state"] == "failed"], posts
    return posts if [post["state"] for post in posts] == ["ready"] * count else None


def page_of(run, photo):
    """Return the site's own page of a photo, as its author sees it."""
    return run(
        "shell", "--no-imports", "-c",
        "from django.test import Client; from photos.models import Member; client = Client(SERVER_NAME='127.0.0.1');"
        "client.force_login(Member.objects.get(username='ada'));"
        f"print(client.get('/app/photos/{photo}/').content.decode())",
    )  # fmt: skip


def wait_for(found, log: Path, seconds=90):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.3)
    return result
