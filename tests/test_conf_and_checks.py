"""The settings dict and the system checks: what is wrong is named before anything runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.models.functions import Now
from django.db.utils import ConnectionHandler
from django.test import override_settings

from socialsongs import checks
from socialsongs.broker import KEY_PREFIX, broker_digest, celery_app
from socialsongs.conf import config
from socialsongs.models import Worker
from workers.checks import pool_errors

from . import settings_table
from .processes import ROOT

# Apps of a host, each with a fault.
picky = Celery("picky", set_as_current=False, fixups=[], accept_content=["pickle"])
hasty = Celery("hasty", set_as_current=False, fixups=[], broker_transport_options={"visibility_timeout": 30})
eager = Celery("eager", set_as_current=False, fixups=[], task_always_eager=True)
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


def test_who_starts_a_worker_as_in_earlier_versions_is_told_the_command():
    command = [
        str(Path(sys.executable).with_name("celery")),
        "-A",
        "workers.celery",
        "worker",
        "-Q",
        "interactive,bulk",
    ]
    without = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=without, timeout=60)
    assert done.returncode != 0
    assert "python manage.py socialsongs_worker interactive bulk    instead of -Q interactive,bulk" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"worker_pool": "gevent"}, "must not have 'worker_pool': a worker runs one task at a time"),
        ({"broker_url": "redis://other"}, "must not have 'broker_url': set SOCIALSONGS['BROKER_URL']"),
        ({"task_routes": {}}, "'task_routes': each task has a queue of its own"),
        ({"task_default_queue": "x"}, "'task_default_queue': each task has a queue of its own"),
        ({"task_acks_late": False}, "'task_acks_late': a wake-up is acknowledged when its work is done"),
        ({"task_serializer": "pickle"}, "'task_serializer': wake-ups are JSON"),
        ({"result_backend": "django-db"}, "'result_backend': wake-ups have no results"),
        ({"beat_scheduler": "x"}, "'beat_scheduler': the plugin's beat runs the reconciler and nothing else"),
        ({"CELERY_TIMEZONE": "UTC"}, "must not have 'CELERY_TIMEZONE'. Allowed, in Celery's lower-case names: broker_"),
        ({"broker_transport_options": {"visibility_timeout": 9}}, "set SOCIALSONGS['VISIBILITY_TIMEOUT_SECONDS']"),
        ({"broker_transport_options": {"global_keyprefix": "x"}}, "QUEUE_PREFIX"),
        ({"broker_transport_options": "fast"}, "must be a dict"),
        ([], "must be a dict"),
    ],
)
def test_settings_of_celery_that_would_break_a_promise_are_named(settings, given, said):
    settings.SOCIALSONGS = {"CELERY": given}
    with pytest.raises(ImproperlyConfigured, match=re.escape(said)):
        config()


def test_settings_of_celery_reach_the_site_and_the_workers(settings):
    given = {"timezone": "Europe/Berlin", "broker_transport_options": {"socket_keepalive": True}}
    settings.SOCIALSONGS = {"CELERY": given}
    app = celery_app()
    assert app.conf.timezone == "Europe/Berlin"
    options = app.connection_for_write().transport_options
    assert (options["socket_keepalive"], options["global_keyprefix"]) == (True, KEY_PREFIX)


@pytest.mark.parametrize("variable", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_celery_variables_of_the_environment_change_no_broker(settings, monkeypatch, variable):
    settings.SOCIALSONGS = {"BROKER_URL": "redis://ours:1/2"}
    monkeypatch.setenv(variable, "redis://theirs:3/4")
    app = celery_app()
    for used in (app.connection_for_read(), app.connection_for_write(), app.connection()):
        assert (used.hostname, used.port, used.virtual_host) == ("ours", 1, "2")


@pytest.mark.parametrize(
    ("given", "id_"),
    [
        ({"CELERY_APP": "nowhere.celery.app"}, "socialsongs.E020"),
        ({"CELERY_APP": "os.path.join"}, "socialsongs.E020"),
        ({"CELERY_APP": "tests.test_conf_and_checks.picky", "TASK_BUDGET_SECONDS": 5}, "socialsongs.E021"),
        ({"CELERY_APP": "tests.test_conf_and_checks.hasty"}, "socialsongs.E022"),
        ({"CELERY_APP": "tests.test_conf_and_checks.eager"}, "socialsongs.W023"),
        ({"CELERY_APP": "tests.test_conf_and_checks.eager", "BROKER_URL": "redis://x"}, "socialsongs.E001"),
        ({"CELERY_APP": "tests.test_conf_and_checks.eager", "CELERY": {}}, "socialsongs.E001"),
    ],
)
def test_a_host_app_that_cannot_carry_our_work_is_named(settings, given, id_):
    settings.SOCIALSONGS = given
    with pytest.raises(SystemCheckError, match=id_):
        call_command("check", fail_level="WARNING")


@pytest.mark.parametrize("prefix", ["", "Photos", "a b", "x" * 29, "-x", 7])
def test_a_queue_prefix_that_no_broker_takes_is_refused(settings, prefix):
    settings.SOCIALSONGS = {"QUEUE_PREFIX": prefix}
    with pytest.raises(ImproperlyConfigured, match="QUEUE_PREFIX"):
        config()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("redis://localhost:6379/0", "redis://me:secret@127.0.0.1", True),
        ("redis://localhost:6379/0", "redis://localhost:6379/1", False),
        ("redis://localhost:6379/0", "redis://localhost:6380/0", False),
        ("redis://one/0", "redis://two/0", False),
        ("amqp://guest:guest@one//", "amqp://me@one:5672//", True),
        ("amqp://one/a", "amqp://one/b", False),
    ],
)
def test_brokers_are_told_apart_by_their_address_not_by_accounts(settings, one, other, same):
    digests = []
    for url in (one, other):
        settings.SOCIALSONGS = {"BROKER_URL": url}
        digests.append(broker_digest())
    assert (digests[0] == digests[1]) is same


def test_a_live_worker_that_hears_no_wake_ups_is_named(db):
    common = {"pid": 1, "host": "here", "started_at": Now(), "seen_at": Now(), "queues": ["socialsongs.bulk"]}
    Worker.objects.create(name="one@here", broker=broker_digest(), **common)
    call_command("check", databases=["default"], fail_level="WARNING")
    Worker.objects.create(name="two@here", broker="elsewhere", **common)
    with pytest.raises(SystemCheckError, match=r"W024\) two@here listens on another broker"):
        call_command("check", databases=["default"], fail_level="WARNING")


def test_the_checks_of_workers_pass_before_the_migration_that_adds_their_broker(db):
    """`migrate` runs them first: an error there would make it impossible."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE socialsongs_worker DROP COLUMN broker")
        cursor.execute("DROP TABLE socialsongs_wakeupsender")
    call_command("check", databases=["default"])


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
    given["CELERY"] = '{"timezone": "UTC"}'
    done = site(tmp_path, **{f"SOCIALSONGS_{key}": value for key, value in given.items()})
    assert done.stdout.startswith("True socialsongs "), done.stderr
    assert "'MAX_ATTEMPTS': 5" in done.stdout
    assert "'READ_RATE': '9/minute'" in done.stdout
    assert "'DIVERSITY': 0.5" in done.stdout
    assert "'RETENTION_DAYS': 30" in done.stdout
    assert "'CELERY': {'timezone': 'UTC'}" in done.stdout
    assert "SOCIALSONGS_MAX_ATTEMPTS" in site(tmp_path, SOCIALSONGS_MAX_ATTEMPTS="many").stderr
    assert "SOCIALSONGS_CELERY must be JSON" in site(tmp_path, SOCIALSONGS_CELERY="timezone=UTC").stderr


def test_every_value_can_come_from_a_file(tmp_path):
    files = {"DATABASE_URL": "postgres://me@host/elsewhere", "SOCIALSONGS_MAX_ATTEMPTS": "5"}
    for name, value in files.items():
        (tmp_path / name).write_text(value)
    given = {f"{name}_FILE": str(tmp_path / name) for name in files}
    assert "SECRET_KEY" in site(tmp_path, **given).stderr  # a database of one's own needs a key of one's own
    done = site(tmp_path, **given, SECRET_KEY="k")
    assert done.stdout.startswith("False elsewhere "), done.stderr
    assert "'MAX_ATTEMPTS': 5" in done.stdout


@pytest.mark.parametrize(("name", "file"), [("workers", "workers/__init__.py"), ("recommender", "recommender.py")])
def test_a_package_of_the_host_that_hides_ours_is_named(tmp_path, name, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"], cwd=tmp_path, env={**ENV, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    hidden = (tmp_path / file).parent if file.endswith("__init__.py") else tmp_path / file
    assert f"(socialsongs.E030) `import {name}` finds {hidden}, not the package that SocialSongs" in done.stderr
    assert f"SocialSongs needs the name '{name}'" in done.stderr
    assert done.stderr.count("E030") == 1


def test_a_project_without_our_second_app_is_told_what_it_lacks():
    with override_settings(INSTALLED_APPS=[name for name in settings.INSTALLED_APPS if name != "workers"]):
        found = checks.packages_of_that_name()
    assert [message.id for message in found] == ["socialsongs.W031"]
    assert checks.packages_of_that_name() == []
