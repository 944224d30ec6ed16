"""Endpoints of webhooks over the API: an API client makes its own, and sees no other's."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from socialsongs.models import ApiClient, ExternalUser, IdempotencyKey, Scope, WebhookDelivery, WebhookEndpoint
from socialsongs.services import webhooks
from socialsongs.services.api_keys import make_key

from .endpoints import status
from .test_api_posts import problem
from .test_webhooks import choose, deliver, receiver  # noqa: F401  # a fixture

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhooks"
NOW = "2026-01-01T00:00:00Z"


def connect(name, scopes=(Scope.WEBHOOKS_MANAGE,)):
    client = ApiClient.objects.create(name=name, scopes=Scope.values)
    _, text = make_key(client=client, name="webhooks", scopes=scopes, expires_at=None)
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    api.of = client
    return api


@pytest.fixture
def api(alice):
    """A connection of a platform one of whose people is alice."""
    made = connect("Pictogram")
    ExternalUser.objects.create(client=made.of, external_id="17", user=alice, made=False)
    return made


@pytest.fixture
def send(api):
    """Return a function that sends JSON to an address below the webhooks, and returns the answer."""

    def make(method, path="", body=None, **more):
        return getattr(api, method)(f"{URL}{path}", body, format="json", **more)

    return make


@pytest.fixture
def added(send, receiver):  # noqa: F811
    return send("post", body={"url": receiver.url, "kinds": ["song_chosen"], "description": "Ours"}).json()


def test_the_whole_life_of_an_endpoint(send, added, receiver, ready_post, make_song):  # noqa: F811
    assert (added["kinds"], added["description"], added["verified_at"], added["active"]) == (
        ["song_chosen"], "Ours", None, True,
    )  # fmt: skip
    secret, at = added.pop("secret"), f"/{added['id']}"
    assert send("get", at).json() == added
    assert send("get").json()["results"] == [added]
    ping = send("post", f"{at}/test").json()
    assert (ping["kind"], ping["state"]) == ("ping", "waiting")
    assert send("post", f"{at}/test").json()["event"] == ping["event"]
    deliver()
    assert Webhook(secret).verify(receiver.got[0][1], receiver.got[0][0])["type"] == "ping"
    assert send("get", at).json()["verified_at"]
    choose(ready_post, make_song("Chosen"))
    deliver()
    chosen, first = send("get", f"{at}/deliveries").json()["results"]
    assert (chosen["kind"], chosen["state"], chosen["status_code"], chosen["next_at"]) == (
        "song_chosen", "delivered", 200, None,
    )  # fmt: skip
    assert first["event"] == ping["event"]
    for body in ({"event": chosen["event"]}, {"since": NOW}):
        assert send("post", f"{at}/replay", body).json() == {"queued": 1}
        deliver()
    assert [headers["webhook-id"] for headers, _ in receiver.got[1:]] == [chosen["event"]] * 3
    assert send("delete", at).status_code == 204
    problem(send("get", at), 404, "not_found")
    assert not WebhookDelivery.objects.exists()


def test_a_secret_is_rotated_and_the_old_one_signs_as_long_as_asked(send, added, receiver):  # noqa: F811
    at = f"/{added['id']}/rotate"
    new = send("post", at).json()
    deliver()
    for secret in (added["secret"], new["secret"]):
        Webhook(secret).verify(receiver.got[-1][1], receiver.got[-1][0])
    assert new["old_secret_until"] > (timezone.now() + timedelta(hours=23)).isoformat()
    newest = send("post", at, {"keep_hours": 0}).json()["secret"]
    send("post", f"/{added['id']}/test")
    deliver()
    Webhook(newest).verify(receiver.got[-1][1], receiver.got[-1][0])
    with pytest.raises(WebhookVerificationError):
        Webhook(new["secret"]).verify(receiver.got[-1][1], receiver.got[-1][0])


def test_a_new_address_and_one_that_is_enabled_again_are_verified_anew(send, added, receiver):  # noqa: F811
    deliver()
    at = f"/{added['id']}"
    assert send("patch", at, {"description": "Same"}).json()["verified_at"]
    moved = send("patch", at, {"url": f"{receiver.url}&moved", "kinds": []}).json()
    assert (moved["verified_at"], moved["kinds"]) == (None, [])
    deliver()
    assert send("get", at).json()["verified_at"]
    off = send("patch", at, {"active": False}).json()
    assert (off["active"], off["disabled_reason"]) == (False, "Its client disabled it.")
    for path, body in (("test", None), ("replay", {"since": NOW})):
        problem(send("post", f"{at}/{path}", body), 409, "endpoint_disabled")
    on = send("patch", at, {"active": True}).json()
    assert (on["active"], on["verified_at"]) == (True, None)
    deliver()
    assert send("get", at).json()["verified_at"]
    assert receiver.kinds() == ["ping"] * 3


def test_a_ping_that_fails_is_seen_in_the_deliveries(send, added, receiver):  # noqa: F811
    receiver.behave = status(500)
    deliver()
    (row,) = send("get", f"/{added['id']}/deliveries").json()["results"]
    assert (row["state"], row["status_code"], row["error"]) == ("waiting", 500, "It answered 500.")
    assert row["next_at"]
    receiver.behave = None
    send("post", f"/{added['id']}/test")
    deliver()
    assert send("get", f"/{added['id']}").json()["verified_at"]


def test_a_key_adds_and_rotates_once_and_its_row_holds_no_secret(send, receiver):  # noqa: F811
    headers = {"Idempotency-Key": "k1"}
    first, again = (send("post", body={"url": receiver.url}, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert WebhookEndpoint.objects.count() == 1
    assert "whsec_" not in IdempotencyKey.objects.get().answer
    at, headers = f"/{first.json()['id']}", {"Idempotency-Key": "k0"}
    pings = []
    for _ in range(2):
        pings.append(send("post", f"{at}/test", headers=headers).json()["event"])
        deliver()
    assert pings[0] == pings[1]
    headers = {"Idempotency-Key": "k2"}
    secrets = [send("post", f"{at}/rotate", headers=headers).json()["secret"] for _ in range(2)]
    assert secrets[0] == secrets[1] != first.json()["secret"]
    send("post", f"{at}/rotate")
    problem(send("post", f"{at}/rotate", headers=headers), 409, "idempotency_conflict")
    deliver()
    headers = {"Idempotency-Key": "k3"}
    assert [send("post", f"{at}/replay", {"since": NOW}, headers=headers).json() for _ in range(2)] == [
        {"queued": 0}, {"queued": 0},
    ]  # fmt: skip


def test_an_endpoint_is_its_client_s_alone(added, receiver, ready_post, make_song):  # noqa: F811
    other = connect("Other")
    assert other.get(URL).json()["results"] == []
    at = f"{URL}/{added['id']}"
    for method, path in [("get", ""), ("patch", ""), ("delete", ""), ("post", "/rotate"), ("post", "/test"),
                         ("get", "/deliveries")]:  # fmt: skip
        problem(getattr(other, method)(f"{at}{path}"), 404, "not_found")
    problem(other.post(f"{at}/replay", {"since": NOW}, format="json"), 404, "not_found")
    event = choose(ready_post, make_song("Of alice"))  # no person of the other client
    webhooks.fan_out()
    own = other.post(URL, {"url": f"{receiver.url}&other"}, format="json").json()["id"]
    for body in ({"since": NOW}, {"event": str(event.pk)}):
        assert other.post(f"{URL}/{own}/replay", body, format="json").json() == {"queued": 0}


def test_who_may_manage_them(api, alice, api_of):
    reader = connect("Reader", scopes=[Scope.POSTS_READ])
    assert "webhooks:manage" in problem(reader.get(URL), 403, "insufficient_scope")["detail"]
    problem(api_of(alice).get(URL), 403, "key_needed")
    problem(api_of(None).get(URL), 401, "not_authenticated")
    api.get(URL, headers={"SocialSongs-User": "nobody-yet"})
    assert not ExternalUser.objects.filter(external_id="nobody-yet").exists()


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({}, "invalid", "url"),
        ({"url": "ftp://example.org/"}, "bad_webhook_url", "http"),
        ({"url": "https://10.0.0.1/"}, "bad_webhook_url", "10.0.0.1"),
        ({"url": "https://me:secret@example.org/"}, "bad_webhook_url", "password"),
        ({"url": "https://example.org/", "kinds": ["ping"]}, "invalid", "kinds"),
        ({"url": "https://example.org/", "secret": "mine"}, "invalid", "secret"),
    ],
)
def test_what_is_no_endpoint_is_refused(send, body, code, said):
    assert said in str(problem(send("post", body=body), 422 if code == "bad_webhook_url" else 400, code))
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "either a time or an event"),
        ({"since": NOW, "event": "00000000-0000-0000-0000-000000000000"}, "either a time or an event"),
        ({"since": "2026-12-01T14:00:00"}, "offset from UTC"),
        ({"since": "yesterday"}, "wrong format"),
    ],
)
def test_a_replay_says_from_when(send, added, body, said):
    assert said in problem(send("post", f"/{added['id']}/replay", body), 400, "invalid")["detail"]


def test_a_client_has_a_bounded_number_of_them(send, added, receiver, monkeypatch):  # noqa: F811
    monkeypatch.setattr(webhooks, "MOST_ENDPOINTS", 1)
    refused = send("post", body={"url": receiver.url})
    assert "1 endpoints already" in problem(refused, 409, "too_many_endpoints")["detail"]
