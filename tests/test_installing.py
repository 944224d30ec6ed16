"""From an empty database to the tables and back, by a role that may not create extensions."""

import os
import subprocess
import sys
import uuid
from io import StringIO

import environ
import psycopg
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.postgres.signals import register_type_handlers
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, connections, router
from django.db.migrations.executor import MigrationExecutor

from socialsongs import checks
from socialsongs.models import PostPhoto, Thumbnail

from . import rows
from .processes import ROOT

# All that migrations make, except in the table of the applied ones.
LEFT = """
SELECT relname FROM pg_class WHERE relname LIKE 'socialsongs%' AND relname NOT LIKE 'socialsongs_site%'
UNION SELECT proname FROM pg_proc WHERE proname LIKE 'socialsongs%'
"""


class Bare:
    """An empty database, and a role that may use its schema but not create extensions."""

    def __init__(self):
        self.server = environ.Env.db_url_config(os.environ["DATABASE_URL"])
        self.name = f"bare_{uuid.uuid4().hex[:8]}"
        host = self.server["HOST"]
        place = f"@/{host}" if host.startswith("/") else f":secret@{host}:{self.server['PORT'] or 5432}"
        self.address = f"postgres://{self.name}{place}/{self.name}"

    def superuser(self, statement, database=None):
        keys = [key for key in ("HOST", "USER", "PASSWORD", "PORT") if self.server[key]]
        options = {key.lower(): self.server[key] for key in keys}
        with psycopg.connect(**options, dbname=database or self.name, autocommit=True) as connected:
            connected.execute(statement)

    def manage(self, *arguments):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": self.address},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bare():
    made = Bare()
    made.superuser(f"CREATE ROLE {made.name} LOGIN PASSWORD 'secret'", made.server["NAME"])
    made.superuser(f"CREATE DATABASE {made.name}", made.server["NAME"])
    made.superuser(f"GRANT ALL ON SCHEMA public TO {made.name}")
    yield made
    made.superuser(f"DROP DATABASE {made.name} WITH (FORCE)", made.server["NAME"])
    made.superuser(f"DROP ROLE {made.name}", made.server["NAME"])


@pytest.fixture
def alias(bare, django_db_setup, django_db_blocker, monkeypatch):
    """That database as a second one of this process, to which the router sends everything."""
    connections.settings["bare"] = {**connections["default"].settings_dict, **environ.Env.db_url_config(bare.address)}
    monkeypatch.setattr(router, "routers", [ToBare()])
    with django_db_blocker.unblock():
        yield "bare"
        connections["bare"].close()
        register_type_handlers(connections["default"])  # migrations empty the cache of their numbers
    del connections["bare"], connections.settings["bare"]


@pytest.fixture
def installed(bare, alias):
    bare.superuser("CREATE EXTENSION IF NOT EXISTS vector")  # where it is already, after the test of the role
    call_command("migrate", database=alias, verbosity=0)
    return alias


class ToBare:
    def db_for_write(self, model, **hints):
        return "bare"

    db_for_read = db_for_write


def test_a_superuser_executes_one_statement_and_the_role_does_the_rest(bare, alias):
    """The extension goes into a schema of its own, as some providers have it."""
    statement = "CREATE EXTENSION vector SCHEMA public;"
    status, said = bare.manage("migrate", "--verbosity", "0")
    assert status == 1
    assert "socialsongs.W041" in said  # of the check that migrate runs first
    assert f"execute in the database {bare.name}: {statement}" in said
    assert f"CommandError: The role {bare.name} may not create the extension pgvector." in said
    assert "Traceback" not in said

    bare.superuser("CREATE SCHEMA extensions")
    bare.superuser(statement.replace("public", "extensions"))
    [error] = checks.vector_extension(databases=[alias])
    assert error.id == "socialsongs.E040"
    for part in error.hint.partition("execute: ")[2].split(";")[:2]:
        bare.superuser(part)
    connections[alias].close()  # the search path counts from the next connection on
    assert checks.vector_extension(databases=[alias]) == []
    call_command("migrate", database=alias, verbosity=0)


def test_every_migration_goes_back_and_forth_with_rows(installed):
    alias = installed
    call_command("migrate", "socialsongs", "zero", database=alias, verbosity=0)
    executor = MigrationExecutor(connections[alias])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "socialsongs"]
    state = executor._create_project_state(with_applied_migrations=True)
    for migration, _ in executor.migration_plan(targets):
        state = executor.apply_migration(state, migration)
        rows.fill(state.apps, "socialsongs", alias)
    counts = {model: model.objects.using(alias).count() for model in apps.get_app_config("socialsongs").get_models()}
    assert set(counts.values()) == {1}, counts  # the next test drops them again, on the way back with these rows


def test_uninstalling_says_what_stays_and_leaves_nothing_else(installed, settings, tmp_path):
    settings.MEDIA_ROOT, alias = str(tmp_path), installed
    rows.fill(apps, "socialsongs", alias)
    photo = PostPhoto.objects.get()
    photo.image.save("a.jpg", ContentFile(b"photo"))
    Thumbnail.objects.update(image="thumbnails/gone.webp")

    said = StringIO()
    call_command("socialsongs_delete_files", dry_run=True, stdout=said)
    assert "post photo image: 1; song preview file: 1; thumbnail image: 1" in said.getvalue()
    assert list(tmp_path.rglob("*.jpg"))
    call_command("socialsongs_delete_files", no_input=True, stdout=said)
    assert "3 files are deleted." in said.getvalue()  # also those that were gone already
    assert not list(tmp_path.rglob("*.jpg"))

    said = StringIO()
    call_command("migrate", "socialsongs", "zero", database=alias, stdout=said)
    assert "Files stay on the storage (post photo image: 1;" in said.getvalue()
    assert "in posts/, previews/, thumbnails/." in said.getvalue()
    with connections[alias].cursor() as cursor:
        cursor.execute(LEFT)
        assert cursor.fetchall() == []
        cursor.execute("SELECT extname FROM pg_extension WHERE extname = 'vector'")
        assert cursor.fetchone() == ("vector",)


class Elsewhere:
    def db_for_write(self, model, **hints):
        return "other" if model is get_user_model() else None


def test_people_in_another_database_are_refused(monkeypatch):
    monkeypatch.setattr(router, "routers", [Elsewhere()])
    [error] = checks.one_database()
    assert (error.id, "'other'" in error.msg, "'auth'" in error.hint) == ("socialsongs.E042", True, True)


def test_the_extension_of_an_older_version_is_refused(db):
    """PostgreSQL itself answers: a temporary table hides its list of extensions."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE pg_extension AS SELECT * FROM pg_catalog.pg_extension")
        cursor.execute("UPDATE pg_temp.pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    [error] = checks.vector_extension(databases=["default"])
    assert (error.id, "ALTER EXTENSION vector UPDATE;" in error.hint) == ("socialsongs.E004", True)


def test_a_database_of_the_host_need_not_be_postgresql(db, monkeypatch):
    connections.settings["lite"] = {**connections["default"].settings_dict, "ENGINE": "django.db.backends.sqlite3"}
    connections["lite"].close()
    try:
        assert checks.vector_extension(databases=["default", "lite"]) == []
        monkeypatch.setattr(router, "routers", [Lite()])
        [error] = checks.vector_extension(databases=["default", "lite"])
        assert (error.id, "'lite' is sqlite" in error.msg) == ("socialsongs.E003", True)
    finally:
        del connections["lite"], connections.settings["lite"]


class Lite:
    def db_for_write(self, model, **hints):
        return "lite"
