"""A request that is sent twice under one Idempotency-Key counts once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from socialsongs.errors import StillRunning
from socialsongs.models import Feedback, IdempotencyKey, Post, RecommendationRequest, State
from socialsongs.services import posts as services
from socialsongs.services.idempotency import once
from workers.lanes.reconcile import reconcile

KEY = {"Idempotency-Key": "k1"}


@pytest.fixture
def api(api_of, alice):
    return api_of(alice)


@pytest.fixture
def address(ready_post):
    return f"/api/v1/posts/{ready_post.pk}"


@pytest.fixture
def song(ready_post):
    return str(ready_post.requests.get().suggestions.first().song_id)


def test_feedback_is_answered_as_at_first(api, address, song):
    events = {"events": [{"song": song, "kind": "play"}]}
    answers = [api.post(f"{address}/feedback", events, format="json", headers=KEY) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"recorded": 1, "known": 0}] * 2
    without = api.post(f"{address}/feedback", events, format="json")
    assert without.json() == {"recorded": 0, "known": 1}


def test_a_choice_is_made_once(api, address, song, ready_post, make_song):
    other = str(make_song("Another").pk)
    first = api.post(f"{address}/choice", {"song": song}, format="json", headers=KEY)
    api.post(f"{address}/choice", {"song": other}, format="json")
    again = api.post(f"{address}/choice", {"song": song}, format="json", headers=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["chosen_song"]["id"] == other  # the post as it is now
    assert Feedback.objects.filter(kind="choose").count() == 1


def test_other_songs_are_requested_once(api, address, ready_post):
    body = {"text": "slow", "limit": 3}
    first = api.post(f"{address}/recommendations", body, format="json", headers=KEY)
    again = api.post(f"{address}/recommendations", {"limit": 3, "text": "slow"}, format="json", headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again["Location"] == first["Location"]
    assert ready_post.requests.count() == 2
    RecommendationRequest.objects.filter(pk=first.json()["id"]).delete()
    anew = api.post(f"{address}/recommendations", body, format="json", headers=KEY)
    assert anew.json()["id"] != first.json()["id"]


def test_a_retry_is_made_once(api, address, ready_post):
    Post.objects.update(state=State.FAILED, reason="out_of_memory")
    assert api.post(f"{address}/retry", headers=KEY).status_code == 202
    assert api.post(f"{address}/retry", headers=KEY).status_code == 202
    assert api.post(f"{address}/retry").json()["code"] == "not_retryable"


@pytest.mark.parametrize(
    ("path", "body"),
    [("recommendations", {"text": "b"}), ("feedback", {"events": [{"song": None, "kind": "play"}]})],
)
def test_a_key_belongs_to_one_body_and_address(api, address, song, path, body):
    api.post(f"{address}/recommendations", {"text": "a"}, format="json", headers=KEY)
    body = {"events": [{"song": song, "kind": "play"}]} if "events" in body else body
    refused = api.post(f"{address}/{path}", body, format="json", headers=KEY)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")


def test_a_refused_request_does_not_use_the_key_up(api, address, song, make_song):
    stranger = {"events": [{"song": str(make_song("Never suggested").pk), "kind": "play"}]}
    refused = api.post(f"{address}/feedback", stranger, format="json", headers=KEY)
    assert refused.json()["code"] == "not_suggested"
    good = {"events": [{"song": song, "kind": "play"}]}
    assert api.post(f"{address}/feedback", good, format="json", headers=KEY).json() == {"recorded": 1, "known": 0}


@pytest.mark.parametrize("key", ["k" * 10_240, "a\x07b", "a\u2028b"])
@pytest.mark.parametrize("path", ["feedback", "choice", "recommendations", "retry"])
def test_an_odd_key_is_named(api, address, song, path, key):
    Post.objects.update(state=State.READY)
    body = {"feedback": {"events": [{"song": song, "kind": "play"}]}, "choice": {"song": song}}.get(path)
    refused = api.post(f"{address}/{path}", body, format="json", headers={"Idempotency-Key": key})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["Idempotency-Key"])


def test_while_the_first_one_runs_the_second_is_asked_to_wait(api, address, alice):
    with once(user=alice, key="k1", fingerprint="another"):
        refused = api.post(f"{address}/recommendations", {}, format="json", headers=KEY)
        assert refused.json()["code"] == "idempotency_conflict"
    IdempotencyKey.objects.all().delete()
    api.post(f"{address}/recommendations", {}, format="json", headers=KEY)
    IdempotencyKey.objects.update(finished_at=None, request=None)
    refused = api.post(f"{address}/recommendations", {}, format="json", headers=KEY)
    assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (409, "still_running", "2")


def test_a_claim_whose_process_died_is_taken_over_and_the_slow_one_writes_nothing(alice):
    with once(user=alice, key="k", fingerprint="f") as slow:
        IdempotencyKey.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        with once(user=alice, key="k", fingerprint="f") as second:
            assert second.earlier is None
            second.finish(answer={"by": "the second"})
        with pytest.raises(StillRunning):
            slow.finish(answer={"by": "the slow one"})
    assert IdempotencyKey.objects.get().answer == '{"by": "the second"}'


def test_a_key_that_is_given_back_at_the_same_moment_is_claimed_again(alice, monkeypatch):
    created = IdempotencyKey.objects.bulk_create
    lost = []

    def lose(rows, **options):
        made = created(rows, **options)
        if not lost:
            lost.append(IdempotencyKey.objects.all().delete())
        return made

    monkeypatch.setattr(type(IdempotencyKey.objects), "bulk_create", lambda _, rows, **options: lose(rows, **options))
    with once(user=alice, key="k", fingerprint="f") as attempt:
        attempt.finish(answer=1)
    assert lost
    assert IdempotencyKey.objects.get().answer == "1"


def test_the_reconciler_forgets_keys_after_a_day(api, address):
    for name, hours in {"old": 25, "young": 23}.items():
        api.post(f"{address}/recommendations", {}, format="json", headers={"Idempotency-Key": name})
        IdempotencyKey.objects.filter(key=name).update(created_at=timezone.now() - timedelta(hours=hours))
    reconcile()
    assert IdempotencyKey.objects.get().key == "young"
    assert RecommendationRequest.objects.count() == 3


class TestAtOnce:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def both_wait(self, monkeypatch):
        """Hold the first upload between its claim and its photos until the second has asked."""
        asked = threading.Semaphore(0)
        clean = services._clean_photos

        def held(uploads):
            asked.acquire(timeout=10)
            return clean(uploads)

        monkeypatch.setattr(services, "_clean_photos", held)
        return asked

    def test_two_uploads_make_one_post(self, api_of, alice, upload, both_wait):
        clients = [api_of(alice), api_of(alice)]
        files = [upload(), upload()]

        def send(index):
            try:
                return clients[index].post("/api/v1/posts", {"photos": files[index]}, headers=KEY)
            finally:
                both_wait.release()
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            answers = sorted(threads.map(send, range(2)), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [202, 409]
        assert answers[1]["Retry-After"] == "2"
        assert Post.objects.count() == 1
        again = clients[0].post("/api/v1/posts", {"photos": upload()}, headers=KEY)
        assert again.json()["id"] == answers[0].json()["id"]

    def test_a_form_sent_twice_leads_both_times_to_the_one_post(self, alice, upload):
        clients = [Client(), Client()]
        for client in clients:
            client.force_login(alice)
        form = {"idempotency_key": "3b0c2d5e-5a55-4c0f-9a4c-111111111111"}
        files = [upload(), upload()]

        def send(index):
            try:
                return clients[index].post("/", {"photos": files[index], **form})
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            targets = {answer["Location"] for answer in threads.map(send, range(2))}
        assert targets == {f"/posts/{Post.objects.get().pk}"}
