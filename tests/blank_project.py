"""A blank Django project with its own user model, storage and URL prefix that installs the app."""

import io
import json
import os
import socket
import subprocess
import textwrap
import urllib.request
import uuid
from contextlib import contextmanager

import environ
import psycopg
from PIL import Image

from socialsongs.site.embedded import die_with_parent

from .processes import ROOT

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
    """Write the project's files, those of ``files`` in place of others, and make an empty database for it.

    Yields the folder and the environment of the project's processes.
    """
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
    with empty_database() as (database, broker):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "host.settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "HOST_DATABASE_URL": database,
            "HOST_BROKER_URL": broker,
            "HOST_VAULT": str(folder / "vault"),
        }
        yield folder, environment


@contextmanager
def empty_database():
    """Make a database beside that of the tests; yields its address, and that of a part of Redis, until both end."""
    url, _, base = os.environ["DATABASE_URL"].rpartition("/")
    database = f"host_{uuid.uuid4().hex[:8]}"
    server = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    keys = {"host": "HOST", "user": "USER", "password": "PASSWORD", "port": "PORT"}
    options = {name: server[key] for name, key in keys.items() if server[key]}
    broker = os.environ["REDIS_URL"].replace("unix://", "redis+socket://", 1)
    with psycopg.connect(dbname=base, autocommit=True, **options) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        yield f"{url}/{database}", f"{broker}?virtual_host=5"
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


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


def manage(python, folder, environment, *arguments):
    """Run a command of Django in the project; return what it prints, or fail with its errors."""
    done = subprocess.run(
        [python, "-m", "django", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


MAKE_TOKEN = (
    "from members.models import Member; from rest_framework.authtoken.models import Token;"
    "print(Token.objects.create(user=Member.objects.create_user('a@example.org')).key)"
)


def token_of_a_member(python, folder, environment):
    """Make a member of the project; return the text of a token."""
    return manage(python, folder, environment, "shell", "--no-imports", "-c", MAKE_TOKEN).strip().splitlines()[-1]


def form_with_a_photo(field="photos", **texts):
    """Return the body of a form with a photo and texts, and its content type."""
    photo = io.BytesIO()
    Image.linear_gradient("L").resize((200, 150)).convert("RGB").save(photo, "PNG")
    boundary = uuid.uuid4().hex
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in texts.items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="a.png"\r\n\r\n'
    body = head.encode() + photo.getvalue() + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
