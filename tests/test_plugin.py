"""A blank Django project with its own user model, storage and URL prefix installs the app and gets songs."""

import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
import urllib.request
import uuid
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
import yaml
from django.core.management import get_commands
from PIL import Image
from setuptools import find_packages

from socialsongs.site.embedded import die_with_parent

from .processes import ROOT, free_port

pytestmark = pytest.mark.worker

SETTINGS = """
    import os
    from pathlib import Path

    import environ

    SECRET_KEY = "host"
    ALLOWED_HOSTS = ["*"]
    ROOT_URLCONF = "host.urls"
    USE_TZ = True
    DATABASES = {"default": environ.Env.db_url_config(os.environ["HOST_DATABASE_URL"])}
    INSTALLED_APPS = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "django.contrib.admin",
        "django.contrib.postgres",
        "rest_framework",
        "rest_framework.authtoken",
        "drf_spectacular",
        "django_htmx",
        "members",
        "socialsongs",
        "workers",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                  "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                     "django.contrib.auth.context_processors.auth",
                                                     "django.contrib.messages.context_processors.messages"]}}]
    AUTH_USER_MODEL = "members.Member"
    STATIC_URL = "static/"
    STORAGES = {
        "default": {"BACKEND": "members.storage.Vault"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]}
    SOCIALSONGS = {"BROKER_URL": os.environ["HOST_BROKER_URL"], "DEVICE": "cpu", "SUGGESTIONS": 3}
"""
URLS = """
    from django.contrib import admin
    from django.urls import include, path

    urlpatterns = [path("admin/", admin.site.urls), path("music/", include("socialsongs.urls"))]
"""
MEMBERS = """
    import uuid

    from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
    from django.db import models


    class Members(BaseUserManager):
        def create_user(self, email, password=None):
            member = self.model(email=email)
            member.set_password(password)
            member.save()
            return member


    class Member(AbstractBaseUser):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        email = models.EmailField(unique=True)
        USERNAME_FIELD = "email"
        objects = Members()
"""
STORAGE = """
    import os

    from django.core.files.storage import FileSystemStorage


    class Vault(FileSystemStorage):
        def __init__(self):
            super().__init__(location=os.environ["HOST_VAULT"])

        def path(self, name):
            raise NotImplementedError("like a bucket, this storage has no paths")

        def _open(self, name, mode="rb"):
            from django.core.files import File

            return File(open(super().path(name), mode))

        def _save(self, name, content):
            full = super().path(name)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "wb") as file:
                file.write(content.read())
            return name

        def exists(self, name):
            return os.path.exists(super().path(name))

        def delete(self, name):
            os.remove(super().path(name))
"""


@contextmanager
def host_project(folder, **files):
    """Write the project's files, those of ``files`` in place of others, and make an empty database for it."""
    for name, text in {
        "host/settings.py": SETTINGS,
        "host/urls.py": URLS,
        "members/models.py": MEMBERS,
        "members/storage.py": STORAGE,
        "host/__init__.py": "",
        "members/__init__.py": "",
        **files,
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    url, _, base = os.environ["DATABASE_URL"].rpartition("/")
    database = f"host_{uuid.uuid4().hex[:8]}"
    import environ

    server = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    keys = {"host": "HOST", "user": "USER", "password": "PASSWORD", "port": "PORT"}
    options = {name: server[key] for name, key in keys.items() if server[key]}
    with psycopg.connect(dbname=base, autocommit=True, **options) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        broker = os.environ["REDIS_URL"].replace("unix://", "redis+socket://", 1)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "host.settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "HOST_DATABASE_URL": f"{url}/{database}",
            "HOST_BROKER_URL": f"{broker}?virtual_host=5",
            "HOST_VAULT": str(folder / "vault"),
        }
        yield folder, environment
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture
def host(tmp_path):
    with host_project(tmp_path) as found:
        yield found


@contextmanager
def running(command, folder, environment, log):
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, preexec_fn=die_with_parent
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def call(method, url, token, body=None, content_type=None):
    request = urllib.request.Request(url, data=body, method=method, headers={"Authorization": f"Token {token}"})
    if content_type:
        request.add_header("Content-Type", content_type)
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.status, json.loads(response.read()), dict(response.headers)


def test_a_host_gets_no_part_of_the_stand_alone_site():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    installed = find_packages(str(ROOT), **packages)
    assert {"socialsongs", "socialsongs.services", "workers.process", "recommender.train"} <= set(installed)
    assert not [name for name in installed if name.startswith("socialsongs.site")]


def test_a_blank_project_gets_songs(host):
    folder, environment = host
    python = sys.executable

    def manage(*arguments):
        done = subprocess.run(
            [python, "-m", "django", *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    manage("makemigrations", "members")
    manage("migrate", "--verbosity", "0")
    manage("check", "--database", "default", "--fail-level", "WARNING")
    manage("check", "--deploy")  # makes the host's own schema, which the host has not set up
    ours = {name for name, app in get_commands().items() if app.startswith(("socialsongs", "workers"))}
    installed = ours & set(manage("help", "--commands").split())
    assert installed == {name for name in ours if name.startswith("socialsongs_")}  # short names could be the host's
    manage("socialsongs_import_songs", "--sample")
    manage("socialsongs_releases", "register")
    token = manage(
        "shell", "--no-imports", "-c",
        "from members.models import Member; from rest_framework.authtoken.models import Token;"
        "print(Token.objects.create(user=Member.objects.create_user('a@example.org')).key)",
    ).strip().splitlines()[-1]  # fmt: skip

    # The pages work with the URLs that the host has: it has no "logout".
    manage(
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
        photo = io.BytesIO()
        Image.linear_gradient("L").resize((200, 150)).convert("RGB").save(photo, "PNG")
        boundary = uuid.uuid4().hex
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; filename="a.png"\r\n\r\n'.encode()
            + photo.getvalue()
            + f"\r\n--{boundary}--\r\n".encode()
        )
        deadline = time.monotonic() + 90
        while not _listens(port):
            assert time.monotonic() < deadline, logs["web"].read_text()
            time.sleep(0.2)
        # The schema is the same on any host, whatever settings the host has for its own.
        _, schema, _ = call("GET", f"{site.removesuffix('/v1')}/schema/?format=json", token)
        committed = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
        assert {path.removeprefix("/music") for path in schema["paths"]} == set(committed["paths"])
        assert schema["components"]["schemas"] == committed["components"]["schemas"]
        status, post, headers = call("POST", f"{site}/posts", token, body, f"multipart/form-data; boundary={boundary}")
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


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
