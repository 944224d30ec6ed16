"""The catalogue in bulk over the API, by the ids of the source."""

import json
import time

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from socialsongs.models import ApiClient, Scope, Song, SongEmbedding
from socialsongs.services.api_keys import make_key

BULK, STATUS = "/api/v1/songs/bulk", "/api/v1/songs/status"


@pytest.fixture
def desk(api_of, staff):
    return api_of(staff)


@pytest.fixture
def client_api(db):
    """Return a function that makes an API client and returns a connection with its key, for nobody."""

    def make(name):
        client = ApiClient.objects.create(name=name, scopes=[Scope.SONGS_WRITE])
        _, text = make_key(client=client, name="catalogue", scopes=[Scope.SONGS_WRITE], expires_at=None)
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
        return api

    return make


def row(number, **values):
    return {"id": f"s{number}", "title": f"Song {number}", "artist": "The Ferry Hands", "lyrics": "Home\nsea", **values}


def write(desk, *songs, source="shop", headers=None, **more):
    body = json.dumps({"source": source, "songs": songs, **more})
    return desk.post(BULK, body, content_type="application/json", headers=headers)


def test_each_row_has_a_result_and_a_bad_one_stops_no_other(desk, release):
    first = write(desk, row(1), row(2), row(3), status="published").json()
    assert {name: first[name] for name in ("created", "updated", "unchanged", "refused")} == {
        "created": 3, "updated": 0, "unchanged": 0, "refused": 0,
    }  # fmt: skip
    assert set(Song.objects.values_list("source", "status")) == {("shop", "published")}
    body = write(
        desk,
        row(1),
        row(2, title="Other title"),
        row(3, year=3000, isrc="US123"),
        row(4),
        {"title": "No id"},
        "no song",
        row(4),
        row(5, language="xx"),
        row("x" * 100),
        {"id": True, "title": "x", "artist": "y"},
        row("\ud800"),
        row(7, lyrics="a\0b"),
    ).json()
    assert [result["result"] for result in body["results"]] == [
        "unchanged", "updated", "refused", "created", "refused", "refused", "refused", "refused", "refused", "refused",
        "refused", "refused",
    ]  # fmt: skip
    errors = [sorted(result["errors"]) for result in body["results"]]
    assert errors[2] == ["isrc", "year"]
    assert errors[4:] == [
        ["artist", "id"], ["non_field_errors"], ["id"], ["language"], ["id"], ["id"], ["id", "non_field_errors"],
        ["non_field_errors"],
    ]  # fmt: skip
    assert body["results"][6]["errors"] == {"id": ["Row 4 has the same id."]}
    ids = {str(pk): source_id for pk, source_id in Song.objects.values_list("pk", "source_id")}
    assert [ids.get(result["song"]) for result in body["results"][:4]] == ["s1", "s2", None, "s4"]
    assert Song.objects.get(source_id="s2").title == "Other title"
    assert (body["created"], body["updated"], body["unchanged"], body["refused"]) == (1, 1, 1, 9)
    assert SongEmbedding.objects.filter(release=release).count() == 4  # they will be encoded


def test_a_row_is_told_of_all_that_is_wrong_with_it(desk):
    wrong = row(1, titel="Typo", year="soon", popularity=7, language="xx", explicit="maybe")
    errors = write(desk, wrong, row(2)).json()["results"][0]["errors"]
    assert sorted(errors) == ["explicit", "language", "popularity", "titel", "year"]
    assert errors["titel"][0].startswith("There is no such key. Known: id, title, artist, ")
    assert Song.objects.get().source_id == "s2"


def test_the_same_id_of_another_source_is_another_song(desk):
    write(desk, row(1))
    assert write(desk, row(1), source="other").json()["created"] == 1
    assert Song.objects.count() == 2


def test_a_number_may_be_an_id(desk):
    body = write(desk, row(1, id=9007199254740993)).json()
    assert body["results"][0]["id"] == "9007199254740993" == Song.objects.get().source_id


def test_songs_are_retired_and_published_by_their_ids(desk, release):
    write(desk, row(1), row(2), status="published")
    body = {"source": "shop", "ids": ["s1", "s2", "never"], "status": "retired"}
    Song.objects.filter(source_id="s2").update(status="retired")
    answer = desk.post(STATUS, body, format="json").json()
    assert [result["result"] for result in answer["results"]] == ["updated", "unchanged", "unknown"]
    assert (answer["updated"], answer["unchanged"], answer["unknown"]) == (1, 1, 1)
    assert set(SongEmbedding.objects.values_list("status", flat=True)) == {"retired"}
    write(desk, row(1, title="Changed"), status="published")
    assert Song.objects.get(source_id="s1").status == "retired"  # known songs keep their status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"songs": [{}]}, "source"),
        ({"source": "s"}, "songs"),
        ({"source": "s", "songs": []}, "songs"),
        ({"source": "s", "songs": [{}] * 1001}, "songs"),
        ({"source": "s", "songs": {"id": "1"}}, "songs"),
        ({"source": "s", "songs": [{}], "status": "retired"}, "status"),
        ({"source": "x" * 101, "songs": [{}]}, "source"),
        ({"source": "s", "songs": [{}], "publish": True}, "publish"),
    ],
)
def test_what_is_wrong_with_the_whole_is_named(desk, body, field):
    refused = desk.post(BULK, body, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])


def test_all_that_is_wrong_with_the_whole_is_named_at_once(desk):
    errors = desk.post(STATUS, {"sorce": "s", "ids": ["1", 2, True], "status": "gone"}, format="json").json()["errors"]
    assert sorted(errors) == ["ids", "sorce", "source", "status"]


def test_a_row_that_is_no_song_at_all_is_told_why(desk):
    rows = [7, row(1, lyrics="a\0b"), row(2, title="\ud800"), row(3, lyrics="a" * 1_000_001), row(4)]
    results = write(desk, *rows).json()["results"]
    assert [result["errors"].get("non_field_errors") for result in results] == [
        ["This is not a JSON object."],
        ["Null characters are not allowed."],
        ["A text has half of a surrogate pair, which is no character."],
        ["This is too long for one song: send at most 1000000 characters."],
        None,
    ]


def test_who_may_write_songs(api_of, bob, django_user_model):
    assert write(api_of(None), row(1)).status_code == 401
    assert write(api_of(bob), row(1)).status_code == 403
    bob.user_permissions.add(Permission.objects.get(codename="change_song"))
    assert write(api_of(django_user_model.objects.get(pk=bob.pk)), row(1)).status_code == 403
    bob.user_permissions.add(Permission.objects.get(codename="add_song"))
    assert write(api_of(django_user_model.objects.get(pk=bob.pk)), row(1)).status_code == 200


def test_a_key_repeats_the_results(desk):
    first = write(desk, row(1), headers={"Idempotency-Key": "k"})
    assert write(desk, row(1), headers={"Idempotency-Key": "k"}).content == first.content
    assert first.json()["created"] == 1
    assert write(desk, row(2), headers={"Idempotency-Key": "k"}).status_code == 409
    assert write(desk, row(1)).json()["unchanged"] == 1


def test_a_key_of_a_client_that_acts_for_nobody_repeats_them_too(client_api):
    one, other = client_api("One"), client_api("Other")
    first = write(one, row(1), headers={"Idempotency-Key": "k"})
    again = write(one, row(1), headers={"Idempotency-Key": "k"})
    assert (first.json()["created"], again.content) == (1, first.content)
    conflict = write(one, row(2), headers={"Idempotency-Key": "k"})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")
    assert write(other, row(1), source="other", headers={"Idempotency-Key": "k"}).json()["created"] == 1


def test_a_client_writes_no_songs_of_another_and_none_of_the_site(client_api, desk):
    one, other = client_api("One"), client_api("Other")
    assert write(one, row(1)).json()["created"] == 1
    write(desk, row(1), source="site")
    retire = {"ids": ["s1"], "status": "retired"}
    for taken in ("shop", "site"):
        for refused in (
            write(other, row(1, title="Changed"), row(2), source=taken),
            other.post(STATUS, {**retire, "source": taken}, format="json"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "source_taken")
            assert taken in refused.json()["detail"]
    assert set(Song.objects.values_list("title", "status")) == {("Song 1", "draft")}
    assert write(other, row(1), source="other").json()["created"] == 1
    assert write(one, row(1, title="Changed")).json()["updated"] == 1
    assert one.post(STATUS, {**retire, "source": "shop"}, format="json").json()["updated"] == 1
    assert write(desk, row(1)).json()["updated"] == 1  # staff may write any


def test_staff_give_a_source_to_a_client(client_api, desk, client, staff):
    write(desk, row(1))
    one = client_api("One")
    assert write(one, row(1)).status_code == 403
    client.force_login(staff)
    form = {"name": "One", "scopes": ["songs:write"], "active": "on"}
    sources = {"song_sources-TOTAL_FORMS": 1, "song_sources-INITIAL_FORMS": 0, "song_sources-0-name": "shop"}
    client.post(f"/admin/socialsongs/apiclient/{ApiClient.objects.get().pk}/change/", form | sources)
    assert write(one, row(1, title="Changed")).json()["updated"] == 1


def test_a_thousand_songs_take_as_many_queries_as_two(desk, release):
    def queries(*songs):
        with CaptureQueriesContext(connection) as captured:
            began = time.monotonic()
            assert write(desk, *songs).json()["created"] == len(songs)
        return len(captured), time.monotonic() - began

    few, _ = queries(row(1), row(2))
    lyrics = "\n".join(f"The tide comes in and the gulls go home {number}" for number in range(40))
    songs = [row(number, lyrics=lyrics) for number in range(10, 1010)]
    assert len(json.dumps(songs)) > 1024 * 1024
    many, seconds = queries(*songs)
    assert many == few
    assert seconds < 20
