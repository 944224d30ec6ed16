"""The whole loop over HTTP where the databases are laid out otherwise: a second one with a replica, and a pool."""

import json
import time

import pytest

from socialsongs.models import Post, SongEmbedding, State
from socialsongs.site.processes import BEAT, WORKER

from . import pgbouncer, skips
from .accounts import token_of
from .processes import process, wait_until
from .releases import registered
from .test_server import ask, form, started_site

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def releases_dir(tmp_path):
    registered(tmp_path / "releases", "small")
    return str(tmp_path / "releases")


def test_a_second_database_whose_replica_is_away(releases_dir, alice, make_song, photo_bytes, tmp_path):
    environment = {"DJANGO_SETTINGS_MODULE": "tests.layouts", "SOCIALSONGS_RELEASES_DIR": releases_dir}
    code = (
        "import django; django.setup(); from django.core.management import call_command as call;"
        "call('check', databases=['default', 'music', 'replica']);"
        "call('migrate', database='default', verbosity=0); call('migrate', database='music', verbosity=0);"
        "call('socialsongs_releases', 'list'); call('socialsongs_releases', 'index', 'small');"
        f"call('socialsongs_import_songs', {str(tmp_path / 'songs.jsonl')!r}, verbosity=0);"
        "call('socialsongs_forget', days=1)"
    )
    song = {"title": "Four", "artist": "Four", "lyrics": "The tide comes in"}
    (tmp_path / "songs.jsonl").write_text(json.dumps(song))
    log = tmp_path / "commands.log"
    with process(["python", "-c", code], log, **environment) as commands:
        assert commands.wait(120) == 0, log.read_text()
    go_round(environment, alice, make_song, photo_bytes, tmp_path)


@pytest.mark.skipif(not pgbouncer.PROGRAM, reason=skips.without("PgBouncer", "pgbouncer"))
def test_a_pool_in_transaction_mode(releases_dir, alice, make_song, photo_bytes, tmp_path):
    with pgbouncer.pooling(tmp_path) as address:
        environment = {"DATABASE_URL": address, "SOCIALSONGS_RELEASES_DIR": releases_dir}
        go_round(environment, alice, make_song, photo_bytes, tmp_path)


def go_round(environment, alice, make_song, photo_bytes, tmp_path):
    """Post a photo, get songs, choose, give feedback, ask for others, delete; with all processes of a site."""
    for title in ("One", "Two", "Three"):
        make_song(title, artist=title)
    authorization = f"Token {token_of(alice)}"
    worker, beat = tmp_path / "worker.log", tmp_path / "beat.log"
    with (
        process(WORKER, worker, **environment),
        process(BEAT, beat, **environment),
        started_site(tmp_path, **environment) as (port, log, _),
    ):

        def call(method, path, body=None, kind="application/json", status=200):
            response, text = ask(port, method, path, body, Authorization=authorization, Content_Type=kind)
            assert response.status == status, (path, text, log.read_text()[-3000:])
            return json.loads(text or "null"), response.headers

        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), worker)
        body, kind = form(photo_bytes())
        post, headers = call("POST", "/api/v1/posts", body, kind, 202)
        path = headers["Location"].partition(f":{port}")[2]
        deadline = time.monotonic() + 60
        while post["state"] not in ("ready", "failed"):
            assert time.monotonic() < deadline, worker.read_text()[-3000:]
            time.sleep(0.2)
            post, _ = call("GET", path)
        assert len(post["suggestions"]) >= 3
        first, second = (suggestion["song"]["id"] for suggestion in post["suggestions"][:2])
        chosen, _ = call("POST", f"{path}/choice", json.dumps({"song": first}))
        assert chosen["chosen_song"]["id"] == first
        events = json.dumps({"events": [{"song": second, "kind": "hide"}]})
        assert call("POST", f"{path}/feedback", events)[0] == {"recorded": 1, "known": 0}
        steered = json.dumps({"text": "rain at night"})
        response, text = ask(
            port, "POST", f"{path}/recommendations", steered,
            Authorization=authorization, Content_Type="application/json", Prefer="wait=3",
        )  # fmt: skip
        assert response.status in (200, 202), text
        assert ask(port, "GET", "/health/ready/")[0].status == 200
        call("DELETE", path, status=204)
        call("GET", path, status=404)
    assert not Post.objects.exists()
    for file in (worker, beat, log):
        assert "Traceback" not in file.read_text(), file.read_text()[-5000:]
