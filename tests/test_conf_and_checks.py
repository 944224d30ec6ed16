"""The settings dict and the system checks: what is wrong is named before anything runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.models.functions import Now
from django.db.utils import ConnectionHandler
from django.test import override_settings

from socialsongs import checks
from socialsongs.conf import config
from socialsongs.models import Worker
from socialsongs.site.processes import WORKER
from workers.checks import pool_errors

from . import settings_table
from .processes import ROOT

ENV = {**os.environ, "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_UPLOAD_MEGABYTES", 15),  # no such key
        ("MAX_ATTEMPTS", "3"),
        ("MAX_ATTEMPTS", 3.0),
        ("MAX_ATTEMPTS", None),
        ("MAX_ATTEMPTS", True),
        ("MAX_ATTEMPTS", 0),
        ("CANDIDATES", -1),
        ("DEVICE", 0),
        ("RELEASES_DIR", ["releases"]),
        ("READ_RATE", "0/hour"),
        ("READ_RATE", "often"),
        ("MARKET", "de"),
        ("MARKET", "DEU"),
        ("MARKET", ""),
        ("SUGGESTIONS", 51),
        ("MAX_SUGGESTIONS", 9),
        ("MAX_WAITING_PHOTOS", 9),
        ("DECODE_CPU_SECONDS", 0.0),
        ("DECODE_SECONDS", 0.0),
        ("DECODE_PROCESSES", 0),
        ("JPEG_QUALITY", 0),
        ("TASTE", float("nan")),
        ("EXPLORATION", 1.01),
        ("TASTE", -0.1),
        ("ANSWER_SECONDS", float("inf")),
        ("RETENTION_DAYS", 0),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings, key, value):
    settings.SOCIALSONGS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=rf"SOCIALSONGS.*\b{key}\b"):
        config()
    with pytest.raises(SystemCheckError, match=rf"socialsongs\.E001\).*\b{key}\b"):
        call_command("check")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("LEASE_SECONDS", 0, "must be 1 or more seconds, got 0"),
        ("EXPLORATION", 2, "must be from 0 to 1, got 2"),
        ("DECODE_SECONDS", 0, "must be more than 0 seconds, got 0"),
        ("MAX_PIXELS", "many", "must be int, got 'many'"),
    ],
)
def test_the_error_says_what_is_allowed(settings, key, value, said):
    settings.SOCIALSONGS = {key: value}
    with pytest.raises(ImproperlyConfigured) as caught:
        config()
    assert str(caught.value) == f"SOCIALSONGS['{key}'] {said}."


def test_the_docs_have_the_settings_as_they_are():
    text = (ROOT / "docs" / "operations.md").read_text()
    assert settings_table.written(text) == text, "run `make settings`"


def test_an_override_counts_at_once_and_only_while_it_lasts():
    before = config()
    with override_settings(SOCIALSONGS={"MAX_ATTEMPTS": 7, "RELEASES_DIR": None}):
        assert (config().MAX_ATTEMPTS, config().CANDIDATES) == (7, 300)
    assert config() == before


def test_a_task_may_not_outlive_half_of_the_visibility_timeout(settings):
    settings.SOCIALSONGS = {"TASK_BUDGET_SECONDS": 60, "VISIBILITY_TIMEOUT_SECONDS": 120}
    with pytest.raises(SystemCheckError, match=r"socialsongs\.E002"):
        call_command("check")
    settings.SOCIALSONGS = {"TASK_BUDGET_SECONDS": 59, "VISIBILITY_TIMEOUT_SECONDS": 120}
    call_command("check")


@pytest.mark.parametrize(
    ("pool", "concurrency", "ids"),
    [
        ("solo", None, []),
        ("solo", 8, []),  # a solo pool knows no concurrency
        ("thread", 1, ["socialsongs.E005"]),
        ("prefork", 1, ["socialsongs.E005"]),
        ("prefork", 4, ["socialsongs.E005", "socialsongs.E006"]),
        ("gevent", 100, ["socialsongs.E005", "socialsongs.E006"]),
    ],
)
def test_a_pool_that_forks_or_shares_the_device_is_refused(pool, concurrency, ids):
    found = pool_errors(pool, concurrency)
    assert [error.id for error in found] == ids
    assert all(error.hint for error in found)


def test_the_pool_of_django_settings_is_checked(monkeypatch):
    code = (
        "import django; from django.conf import settings; django.setup(); settings.CELERY_WORKER_POOL = 'prefork';"
        "from django.core.management import call_command; call_command('check')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=ENV)
    assert "socialsongs.E005" in done.stderr


def test_a_worker_with_such_options_does_not_start():
    command = [*WORKER, "-P", "threads"]  # the last one counts
    command[0] = str(Path(sys.executable).with_name("celery"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=ENV, timeout=60)
    assert done.returncode != 0
    assert "socialsongs.E005" in done.stderr


def test_two_processes_on_one_gpu_are_named(db):
    common = {"pid": 1, "device": "cuda:0 Big GPU", "started_at": Now(), "seen_at": Now()}
    Worker.objects.create(name="one@here", host="here", **common)
    Worker.objects.create(name="one@there", host="there", **common)
    call_command("check", databases=["default"])
    Worker.objects.create(name="two@here", host="here", **common)
    with pytest.raises(SystemCheckError, match=r"E007.*cuda:0 Big GPU of here is shared by one@here, two@here"):
        call_command("check", databases=["default"])


def test_another_database_than_postgresql_is_refused(monkeypatch):
    lite = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    monkeypatch.setattr(checks, "connections", lite)
    [error] = checks.vector_extension(databases=["default"])
    assert (error.id, "sqlite" in error.msg) == ("socialsongs.E003", True)


@pytest.mark.parametrize(
    ("version", "expected"), [(None, ["E004"]), ("0.7.4", ["E004"]), ("0.8.0", []), ("0.10.1", []), ("1.0", [])]
)
def test_a_database_without_a_recent_pgvector_is_refused(db, version, expected):
    """PostgreSQL itself answers: a temporary table hides its list of extensions."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE pg_available_extensions (name text, default_version text)")
        if version:
            cursor.execute("INSERT INTO pg_available_extensions VALUES ('vector', %s)", [version])
    found = checks.vector_extension(databases=["default"])
    assert [error.id.removeprefix("socialsongs.") for error in found] == expected
    assert all((version or "none") in error.msg for error in found)


def test_the_database_of_the_tests_passes_every_check(db):
    call_command("check", databases=["default"], fail_level="WARNING")


# The settings of the stand-alone site, read by a fresh process.


def site(tmp_path, **environment):
    code = (
        "from socialsongs.site import settings as s; print(s.EMBEDDED, s.DATABASES['default']['NAME'], s.SOCIALSONGS)"
    )
    kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "SECRET_KEY")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**kept, "VAR_DIR": str(tmp_path), **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_environment_fills_the_settings_dict(tmp_path):
    given = {"MAX_ATTEMPTS": "5", "READ_RATE": "9/minute", "DIVERSITY": "0.5", "RETENTION_DAYS": "30"}
    done = site(tmp_path, **{f"SOCIALSONGS_{key}": value for key, value in given.items()})
    assert done.stdout.startswith("True socialsongs "), done.stderr
    assert "'MAX_ATTEMPTS': 5" in done.stdout
    assert "'READ_RATE': '9/minute'" in done.stdout
    assert "'DIVERSITY': 0.5" in done.stdout
    assert "'RETENTION_DAYS': 30" in done.stdout
    assert "SOCIALSONGS_MAX_ATTEMPTS" in site(tmp_path, SOCIALSONGS_MAX_ATTEMPTS="many").stderr


def test_every_value_can_come_from_a_file(tmp_path):
    files = {"DATABASE_URL": "postgres://me@host/elsewhere", "SOCIALSONGS_MAX_ATTEMPTS": "5"}
    for name, value in files.items():
        (tmp_path / name).write_text(value)
    given = {f"{name}_FILE": str(tmp_path / name) for name in files}
    assert "SECRET_KEY" in site(tmp_path, **given).stderr  # a database of one's own needs a key of one's own
    done = site(tmp_path, **given, SECRET_KEY="k")
    assert done.stdout.startswith("False elsewhere "), done.stderr
    assert "'MAX_ATTEMPTS': 5" in done.stdout
