"""Search on a PostgreSQL that has pg_trgm, as Debian's package has it: typos are tolerated.

It has no pgvector, so that it holds songs alone: the migration's functions and the song's own table and indexes.
"""

import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from django.db import ProgrammingError, connections

from socialsongs.models import Song
from socialsongs.selectors.search import artists_alike, search_songs

from .skips import without

SEARCH = import_module("socialsongs.migrations.0010_search")
ROOT = os.geteuid() == 0  # PostgreSQL refuses to run as root
NAMES = [
    ("Harbour Lights", "Zoé Ångstrøm"),
    ("Bohemian Night", "Kween"),
    ("One", "Mettallika"),
    ("Thirty", "brink-181"),
]


def binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    for pg_ctl in reversed(found):
        if Path(f"/usr/share/postgresql/{pg_ctl.parts[-3]}/extension/pg_trgm.control").exists():
            return pg_ctl.parent
    return None


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start a server; yield its folder, which holds its socket."""
    if (folder := binaries()) is None:
        pytest.skip(without("PostgreSQL with pg_trgm", "postgresql"))
    place = Path(f"/tmp/socialsongs-trgm-{os.getpid()}")
    place.mkdir(mode=0o700)
    if ROOT:
        shutil.chown(place, "nobody")

    def run(*command):
        user = {"user": "nobody"} if ROOT else {}
        subprocess.run(
            [folder / command[0], *command[1:]], check=True, capture_output=True, timeout=60, cwd="/", **user
        )

    try:
        run("initdb", "-D", place / "data", "-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        run(
            "pg_ctl",
            "-D",
            place / "data",
            "-w",
            "-l",
            place / "log",
            "-o",
            f"-k {place} -c listen_addresses='' -F",
            "start",
        )
        yield place
        run("pg_ctl", "-D", place / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place)


@pytest.fixture
def other(server, django_db_blocker):
    """Yield a Django connection named "other" to a new database on that server."""
    with django_db_blocker.unblock():
        default = connections.databases["default"]
        connections.databases["other"] = default | {
            "HOST": str(server),
            "USER": "owner",
            "NAME": "postgres",
            "PASSWORD": "",
        }
        connection = connections["other"]
        try:
            with connection.cursor() as cursor:
                cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP EXTENSION IF EXISTS pg_trgm")
            yield connection
        finally:
            connection.close()
            del connections["other"], connections.databases["other"]


def migrate(connection):
    with connection.schema_editor() as editor:
        SEARCH.create_functions(None, editor)
        editor.create_model(Song)
        SEARCH.forgive_typos(None, editor)
    Song.objects.using("other").bulk_create(
        Song(title=title, artist=artist, lyrics="Over the sea", status="published") for title, artist in NAMES
    )


def find(text):
    songs = Song.objects.using("other")
    names = dict(songs.values_list("pk", "title"))
    return [names[hit.pk] for hit in search_songs(songs=songs.all(), text=text)]


def has(connection, relation):
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [relation])
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("harbor lights", "Harbour Lights"),
        ("harbuor", "Harbour Lights"),
        ("angstrem", "Harbour Lights"),
        ("Zoe Angstrom", "Harbour Lights"),
        ("kwen", "Bohemian Night"),
        ("bohemien nite", "Bohemian Night"),
        ("metallika", "One"),
        ("MÉTTALIKA", "One"),
        ("brnk 181", "Thirty"),
        ("BRINK181", "Thirty"),
    ],
)
def test_a_name_is_found_in_spite_of_a_typo(other, text, title):
    migrate(other)
    assert find(text)[0] == title
    assert find("quite another thing") == []


def test_exact_matches_come_before_similar_ones(other):
    migrate(other)
    Song.objects.using("other").create(title="Harbor Lights", artist="X", status="published")
    assert find("harbor lights") == ["Harbor Lights", "Harbour Lights"]


def test_typos_are_found_by_their_index(other):
    migrate(other)
    assert has(other, "socialsongs_song_typos")
    with other.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT 1 FROM socialsongs_song WHERE 'harbor' <% socialsongs_clean(title || ' ' || artist)"
        )
        assert "socialsongs_song_typos" in "".join(line for (line,) in cursor.fetchall())


def test_a_role_without_the_right_to_create_extensions_migrates_and_searches_without(other):
    with other.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS limited")
        cursor.execute("CREATE ROLE limited; GRANT ALL ON SCHEMA public TO limited; SET ROLE limited")
        with pytest.raises(ProgrammingError, match="permission denied"):
            cursor.execute("CREATE EXTENSION pg_trgm")
    migrate(other)
    assert not has(other, "socialsongs_song_typos")
    assert find("angstrom") == ["Harbour Lights"]
    assert find("angstrem") == []
    with other.cursor() as cursor:
        cursor.execute("RESET ROLE; DROP OWNED BY limited; DROP ROLE limited")


def test_an_extension_in_another_schema_is_used(other):
    with other.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS elsewhere; CREATE EXTENSION pg_trgm SCHEMA elsewhere")
    migrate(other)
    assert find("angstrem") == ["Harbour Lights"]


def test_an_artist_is_found_by_a_similar_name(other):
    migrate(other)
    songs = Song.objects.using("other")
    for name, artist in {
        "metallika": ["Mettallika"],
        "zoe angstrem": ["Zoé Ångstrøm"],
        "a Kween of hearts": [],
    }.items():
        assert artists_alike(songs=songs.all(), name=name) == artist
    other.cursor().execute("DROP INDEX socialsongs_song_typos")
    assert artists_alike(songs=songs.all(), name="metallika") == []
