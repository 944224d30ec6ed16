"""A blank Django project with its own user model, storage and URL prefix installs the app and gets songs."""

import sys
import time
import tomllib
from contextlib import ExitStack
from functools import partial

import pytest
import yaml
from django.core.management import get_commands
from setuptools import find_packages

from .blank_project import call, form_with_a_photo, host_project, listens, manage, running, token_of_a_member
from .processes import ROOT, free_port

pytestmark = pytest.mark.worker


@pytest.fixture
def host(tmp_path):
    with host_project(tmp_path) as found:
        yield found


def test_a_host_gets_no_part_of_the_stand_alone_site():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    installed = find_packages(str(ROOT), **packages)
    assert {"socialsongs", "socialsongs.services", "workers.process", "recommender.train"} <= set(installed)
    assert not [name for name in installed if name.startswith("socialsongs.site")]


def test_a_blank_project_gets_songs(host):
    folder, environment = host
    python = sys.executable
    run = partial(manage, python, folder, environment)
    run("makemigrations", "members")
    run("migrate", "--verbosity", "0")
    run("check", "--database", "default", "--fail-level", "WARNING")
    run("check", "--deploy")  # makes the host's own schema, which the host has not set up
    ours = {name for name, app in get_commands().items() if app.startswith(("socialsongs", "workers"))}
    installed = ours & set(run("help", "--commands").split())
    assert installed == {name for name in ours if name.startswith("socialsongs_")}  # short names could be the host's
    run("socialsongs_import_songs", "--sample")
    run("socialsongs_releases", "register")
    token = token_of_a_member(python, folder, environment)

    # The pages work with the URLs that the host has: it has no "logout".
    run(
        "shell", "--no-imports", "-c",
        "from django.test import Client; from members.models import Member; client = Client();"
        "client.force_login(Member.objects.get()); home = client.get('/music/');"
        "assert home.status_code == 200; assert b'sample' not in home.content;"
        "assert client.get('/music/samples/coffee').status_code == 404;"
        "from django.template.loader import get_template; from django.template import TemplateDoesNotExist\n"
        "try: get_template('registration/login.html')\nexcept TemplateDoesNotExist: pass\n"
        "else: raise AssertionError('the plugin brings a login page')",
    )  # fmt: skip

    logs = {name: folder / f"{name}.log" for name in ("web", "worker", "beat")}
    port = free_port()
    commands = {
        "web": [python, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{port}"],
        "worker": [python, "-m", "django", "socialsongs_worker", "interactive", "bulk"],
        "beat": [python, "-m", "django", "socialsongs_worker", "maintenance"],
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(running(command, folder, environment, logs[name]))

        site = f"http://127.0.0.1:{port}/music/api/v1"
        body, content_type = form_with_a_photo()
        deadline = time.monotonic() + 90
        while not listens(port):
            assert time.monotonic() < deadline, logs["web"].read_text()
            time.sleep(0.2)
        # The schema is the same on any host, whatever settings the host has for its own.
        _, schema, _ = call("GET", f"{site.removesuffix('/v1')}/schema/?format=json", token)
        committed = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
        assert {path.removeprefix("/music") for path in schema["paths"]} == set(committed["paths"])
        assert schema["components"]["schemas"] == committed["components"]["schemas"]
        status, post, headers = call("POST", f"{site}/posts", token, body, content_type)
        assert status == 202
        assert headers["Location"] == f"{site}/posts/{post['id']}"
        while post["state"] not in ("ready", "failed"):
            assert time.monotonic() < deadline, logs["worker"].read_text()[-3000:]
            time.sleep(0.3)
            _, post, _ = call("GET", headers["Location"], token)
    assert post["state"] == "ready", post
    assert len(post["suggestions"]) == 3
    for suggestion in post["suggestions"]:  # what is offered to any photo has no line that would fit this one
        assert suggestion["line"] or suggestion["origin"] in ("editorial", "popular")
    assert list((folder / "vault").rglob("*.jpg"))
