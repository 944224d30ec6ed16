"""The app reads from the database that the router chooses for its writes: a replica lags, or is away."""

import re

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections, router
from django.urls import reverse

from socialsongs.database import WriterManager, reader, writer
from socialsongs.models import Feedback, Post, State
from workers.lanes.reconcile import reconcile

from .processes import ROOT

POSTS = "/api/v1/posts"


class ReadsFromReplica:
    """As short as a host's router can be."""

    def db_for_read(self, model, **hints):
        return "replica" if model._meta.app_label == "socialsongs" else None


@pytest.fixture
def replica(db, monkeypatch):
    """A replica that Django forbids tests to open, as it does with all databases that they do not name; and a
    transaction for each request."""
    there = connections["default"].settings_dict
    connections.settings["replica"] = {**there}
    monkeypatch.setattr(router, "routers", [ReadsFromReplica()])
    monkeypatch.setitem(there, "ATOMIC_REQUESTS", True)
    connections["replica"].close()  # makes the object that is deleted below
    yield
    del connections["replica"], connections.settings["replica"]


def test_the_whole_api_works_with_a_replica(replica, api_of, alice, upload, ready_post, make_song):
    api, of_post = api_of(alice), f"{POSTS}/{ready_post.pk}"
    first, second = ready_post.requests.get().suggestions.all()[:2]
    made = api.post(POSTS, {"photos": upload()}, headers={"Idempotency-Key": "one"})
    assert made.status_code == 202
    assert api.get(made.headers["Location"]).json()["state"] == "queued"
    assert api.post(POSTS, {"photos": upload()}, headers={"Idempotency-Key": "one"}).json()["id"] == made.json()["id"]
    assert api.get(of_post).json()["photos"][0]["tags"]
    chosen = api.post(f"{of_post}/choice", {"song": first.song_id}, format="json")
    assert chosen.json()["chosen_song"]["id"] == str(first.song_id)
    events = [{"song": second.song_id, "kind": "hide"}]
    assert api.post(f"{of_post}/feedback", {"events": events}, format="json").json()["recorded"] == 1
    assert api.delete(f"{of_post}/hidden/{second.song_id}").status_code == 204
    asked = api.post(f"{of_post}/recommendations", {"text": "rain"}, format="json")
    assert asked.status_code == 202
    assert api.get(asked.headers["Location"]).status_code == 200
    assert api.get(f"{of_post}/photos/0?side=192").status_code == 200
    Post.objects.filter(pk=ready_post.pk).update(state=State.FAILED)
    assert api.post(f"{of_post}/retry").status_code == 202
    assert api.delete(of_post).status_code == 204
    assert [post["id"] for post in api.get(POSTS).json()["results"]] == [made.json()["id"]]


def test_the_catalogue_is_read_from_the_replica(replica, api_of, alice, make_song, caplog):
    song = make_song()
    assert (writer(), reader()) == ("default", "replica")
    assert api_of(alice).get(f"/api/v1/songs/{song.pk}").status_code == 200
    with pytest.raises(AssertionError):  # Django's, or that a 500 is not in the schema
        api_of(alice).get("/api/v1/songs")
    assert "connections to 'replica' are not allowed" in caplog.text


def test_the_pages_work_with_a_replica(replica, client, alice, upload, ready_post):
    client.force_login(alice)
    made = client.post("/", {"photos": upload()})
    assert client.get(made.headers["Location"]).status_code == 200
    song = ready_post.requests.get().suggestions.first().song_id
    for name, *keys in (("choose", song), ("unchoose",), ("feedback", song, "hide"), ("show", song), ("retry",)):
        address = reverse(f"socialsongs:post-page-{name}", args=[ready_post.pk, *keys])
        assert client.post(address, headers={"HX-Request": "true"}).status_code == 200, name
    assert Feedback.objects.filter(kind="choose", user=alice).count() == 1


def test_admin_commands_and_reconciler_work_with_a_replica(replica, client, staff, ready_post):
    client.force_login(staff)
    for name in ("post", "song", "recommendationrequest", "modelrelease", "worker"):
        assert client.get(reverse(f"admin:socialsongs_{name}_changelist")).status_code == 200
    assert client.get(reverse("admin:socialsongs_post_change", args=[ready_post.pk])).status_code == 200
    reconcile()
    call_command("socialsongs_releases", "list")
    call_command("socialsongs_forget", "--days", "1", "--dry-run")


def test_every_model_reads_from_the_writer(replica):
    for model in apps.get_app_config("socialsongs").get_models():
        assert isinstance(model._base_manager, WriterManager), model
        assert model.objects.all().db == "default", model


def test_no_module_takes_the_default_database_for_granted():
    """``socialsongs.database`` has the connection and transactions of the database that the router chooses."""
    imports = re.compile(r"from django\.db import .*\b(connection|transaction)\b")
    modules = [*ROOT.glob("socialsongs/**/*.py"), *ROOT.glob("workers/**/*.py")]
    named = {
        str(path.relative_to(ROOT))
        for path in modules
        if not {"migrations", "site"} & set(path.parts) and imports.search(path.read_text())
    }
    using = {
        "socialsongs/database.py",
        "socialsongs/extension.py",
        "socialsongs/selectors/search.py",
    }
    assert named - using == set(), "from socialsongs.database import atomic, connection, on_commit"
