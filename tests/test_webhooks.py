"""Webhooks: signed, delivered at least once, retried for a day; an endpoint that fails holds up nobody else."""

import base64
import hashlib
import hmac
import re
import time
from datetime import timedelta
from io import StringIO
from textwrap import dedent

import pytest
import yaml
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from openapi_schema_validator import OAS31Validator
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import socialsongs
from socialsongs.models import ApiClient, Event, ExternalUser, RecommendationRequest, WebhookDelivery, WebhookEndpoint
from socialsongs.selectors.events import due_endpoints
from socialsongs.services import webhooks
from socialsongs.services.feedback import choose_song, clear_choice
from socialsongs.signals import BY_KIND, song_chosen
from socialsongs.webhooks.sending import send
from socialsongs.webhooks.signing import signatures
from workers.lanes import reconcile
from workers.lanes.events import send_signal
from workers.lanes.webhooks import DISABLE_AFTER, PAUSES, RETRY_FOR, deliver_to_one

from .contract import SNAPSHOT
from .endpoints import HERE, answer, receiving, status
from .gallery.models import Picture
from .processes import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, **HERE, "WEBHOOK_SECONDS": 1.0}
    with receiving() as found:
        yield found


@pytest.fixture
def endpoint(receiver):
    """A verified endpoint, and its secret."""
    made, secret = webhooks.add_endpoint(url=receiver.url)
    deliver()
    receiver.got.clear()
    made.refresh_from_db()
    assert made.verified_at
    made.secret = secret
    return made


def deliver():
    """Do what the maintenance worker does with what is due, on one thread."""
    webhooks.fan_out()
    while deliver_to_one(lambda: None, lambda: False):
        pass


def later():
    """Let the pauses of all deliveries and endpoints end."""
    WebhookDelivery.objects.filter(state="waiting").update(next_at=Now())
    WebhookEndpoint.objects.update(resume_at=None)


def choose(post, song):
    choose_song(post=post, user=post.owner, song_id=song.pk)
    return Event.objects.filter(kind="song_chosen").first()


def verified(secret, request):
    headers, body = request
    return Webhook(secret).verify(body, headers)


# What is sent


def test_an_event_is_sent_signed_as_standard_webhooks_says(ready_post, make_song, receiver, endpoint):
    """The signature is checked by the reference library."""
    song = make_song("First")
    event = choose(ready_post, song)
    deliver()
    (request,) = receiver.got
    headers, body = request
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == str(event.pk)
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 10
    assert verified(endpoint.secret, request) == {
        "type": "song_chosen",
        "timestamp": event.created_at.isoformat().replace("+00:00", "Z"),
        "version": 1,
        "data": {
            "post": str(ready_post.pk),
            "request": None,
            "song": str(song.pk),
            "reason": None,
            "owner": None,
            "photo": None,
            "links": {
                "post": f"/api/v1/posts/{ready_post.pk}", "request": None, "song": f"/api/v1/songs/{song.pk}",
            },
        },
    }  # fmt: skip
    for forged in (body + b" ", body.replace(b"song_chosen", b"post_failed")):
        with pytest.raises(WebhookVerificationError):
            verified(endpoint.secret, (headers, forged))
    assert b"tide" not in body  # no lyrics
    assert b"By the sea" not in body  # no caption


def test_an_event_is_sent_once_and_only_once(ready_post, make_song, receiver, endpoint):
    choose(ready_post, make_song("First"))
    deliver()
    deliver()
    assert receiver.kinds() == ["song_chosen"]
    row = WebhookDelivery.objects.get(event__kind="song_chosen")
    assert (row.state, row.attempts, row.status_code, row.error) == ("delivered", 1, 200, "")
    assert not due_endpoints().exists()


def test_an_endpoint_gets_the_kinds_that_it_wants(ready_post, make_song, receiver, endpoint):
    WebhookEndpoint.objects.update(kinds=["song_unchosen"])
    choose(ready_post, make_song("First"))
    clear_choice(post=ready_post)
    deliver()
    assert receiver.kinds() == ["song_unchosen"]


def test_the_endpoint_of_a_client_hears_of_its_people_only_and_by_its_own_id(
    alice, bob, ready_post, make_song, receiver, endpoint
):
    theirs, other = (ApiClient.objects.create(name=name, scopes=[]) for name in ("Theirs", "Other"))
    ExternalUser.objects.create(client=theirs, external_id="person-7", user=alice, made=False)
    ExternalUser.objects.create(client=other, external_id="person-8", user=bob, made=False)
    for client in (theirs, other):
        webhooks.add_endpoint(url=f"{receiver.url}&client={client.name}", client=client)
    deliver()
    receiver.got.clear()
    choose(ready_post, make_song("First"))
    deliver()
    got = WebhookDelivery.objects.filter(event__kind="song_chosen").values_list("endpoint__client__name", flat=True)
    assert sorted(got, key=str) == [None, "Theirs"]
    assert [payload["data"]["owner"] for payload in receiver.payloads()] == ["person-7"] * 2


# Verification


def test_nothing_but_pings_is_sent_before_an_endpoint_has_answered_one(ready_post, make_song, receiver):
    receiver.behave = lambda handler: answer(handler, b"{}")
    made, _ = webhooks.add_endpoint(url=receiver.url)
    choose(ready_post, make_song("First"))
    deliver()
    made.refresh_from_db()
    assert (receiver.kinds(), made.verified_at) == (["ping"], None)
    assert made.deliveries.get().error == "It answered the ping without its challenge."
    receiver.behave = None
    later()
    deliver()
    choose(ready_post, make_song("Second"))
    deliver()
    made.refresh_from_db()
    assert receiver.kinds() == ["ping", "ping", "song_chosen"]
    assert made.verified_at


@pytest.mark.parametrize(
    "body", [b"", b"[" * 100_000, b'"challenge"', b'{"challenge": null}', b'{"data": {}}', b"\xff"]
)
def test_a_ping_is_answered_by_its_challenge_and_nothing_else(receiver, body):
    receiver.behave = lambda handler: answer(handler, body)
    made, _ = webhooks.add_endpoint(url=receiver.url)
    deliver()
    made.refresh_from_db()
    assert made.verified_at is None


def test_a_server_that_sends_back_what_it_gets_is_not_verified(receiver):
    receiver.behave = lambda handler: answer(handler, receiver.got[-1][1])
    made, _ = webhooks.add_endpoint(url=receiver.url)
    deliver()
    made.refresh_from_db()
    assert made.verified_at is None


# Failures


@pytest.mark.parametrize("code", [302, 400, 404, 500, 503])
def test_an_answer_that_is_no_success_is_tried_again_with_growing_pauses(
    ready_post, make_song, receiver, endpoint, code
):
    event = choose(ready_post, make_song("First"))
    receiver.behave = status(code, Location="http://127.0.0.1:1/")
    pauses = []
    for attempt in range(1, 4):
        deliver()
        row = WebhookDelivery.objects.get(event=event)
        pauses.append((row.next_at - event.created_at).total_seconds())
        assert (row.state, row.attempts, row.status_code) == ("waiting", attempt, code)
        assert str(code) in row.error
        later()
    assert pauses == pytest.approx(PAUSES[:3], rel=0.3, abs=2)
    receiver.behave = None
    deliver()
    assert WebhookDelivery.objects.get(event=event).state == "delivered"
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {str(event.pk)}
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.failing_since, endpoint.resume_at) == (0, None, None)


def test_an_endpoint_says_when_it_can_be_tried_again_within_reason(ready_post, make_song, receiver, endpoint):
    event = choose(ready_post, make_song("First"))
    for said, seconds in (("120", 120), ("9999999", 5), ("soon", 5), ("999999", 3600)):
        receiver.behave = status(429, Retry_After=said)
        WebhookDelivery.objects.update(attempts=0)
        later()
        WebhookEndpoint.objects.update(failures=0)
        deliver()
        waits = (WebhookDelivery.objects.get(event=event).next_at - event.created_at).total_seconds()
        assert waits == pytest.approx(seconds, rel=0.3, abs=2)


def test_a_client_that_is_turned_off_hears_nothing(ready_post, make_song, alice, receiver):
    client = ApiClient.objects.create(name="Theirs", scopes=[])
    ExternalUser.objects.create(client=client, external_id="17", user=alice, made=False)
    webhooks.add_endpoint(url=receiver.url, client=client)
    deliver()
    choose(ready_post, make_song("First"))
    webhooks.fan_out()
    ApiClient.objects.update(active=False)
    deliver()
    choose(ready_post, make_song("Second"))
    deliver()
    assert receiver.kinds() == ["ping"]
    assert WebhookDelivery.objects.filter(state="waiting").count() == 1


@pytest.mark.parametrize(
    "answer_of",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 10_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000,
        b"HTTP/1.1 \x1b[31m\x00 no number\r\n\r\n",
    ],
    ids=["a chunk without end", "long", "no HTTP"],
)
def test_what_an_endpoint_answers_is_neither_kept_nor_read_to_its_end(receiver, answer_of, caplog):
    sent = []

    def behave(handler):
        try:
            sent.append(handler.connection.send(answer_of[:100]))
            for start in range(100, len(answer_of), 65536):
                sent.append(handler.connection.send(answer_of[start : start + 65536]))
        finally:
            handler.close_connection = True

    receiver.behave = behave
    made, _ = webhooks.add_endpoint(url=receiver.url)
    deliver()
    delivery = made.deliveries.get()
    assert (delivery.state, delivery.attempts) == ("waiting", 1)
    assert delivery.error.isprintable()
    assert "31m" not in delivery.error + caplog.text
    assert made.deliveries.filter(next_at__gt=Now()).exists()
    assert sum(sent) < 9_000_000


@pytest.mark.parametrize("behave", [None, status(410)], ids=["verified", "gone"])
def test_an_address_that_changes_during_an_attempt_is_not_judged_by_the_old_one(receiver, monkeypatch, behave):
    made, _ = webhooks.add_endpoint(url=receiver.url)
    receiver.behave = behave

    def send_and_change(*arguments, **options):
        try:
            return send(*arguments, **options)
        finally:
            WebhookEndpoint.objects.update(url=f"{receiver.url}&new")

    monkeypatch.setattr("workers.lanes.webhooks.send", send_and_change)
    deliver_to_one(lambda: None, lambda: False)
    made.refresh_from_db()
    assert (made.verified_at, made.active, made.failures) == (None, True, 0)


def test_an_endpoint_that_failed_gets_nothing_for_a_while(ready_post, make_song, receiver, endpoint):
    receiver.behave = status(500)
    for title in ("First", "Second", "Third"):
        choose(ready_post, make_song(title))
    deliver()
    assert len(receiver.got) == 1
    WebhookDelivery.objects.update(next_at=Now())
    deliver()
    assert len(receiver.got) == 1
    receiver.behave = None
    later()
    deliver()
    assert len(receiver.got) == 4


def test_after_a_day_a_delivery_has_failed(ready_post, make_song, receiver, endpoint):
    event = choose(ready_post, make_song("First"))
    receiver.behave = status(500)
    deliver()
    WebhookDelivery.objects.update(queued_at=Now() - RETRY_FOR - timedelta(minutes=1))
    later()
    deliver()
    row = WebhookDelivery.objects.get(event=event)
    assert (row.state, row.attempts, row.error) == ("failed", 2, "It answered 500.")
    assert row.finished_at
    later()
    deliver()
    assert len(receiver.got) == 2


def test_an_endpoint_that_fails_for_days_is_disabled_and_staff_read_why(
    ready_post, make_song, receiver, endpoint, caplog
):
    receiver.behave = status(500)
    for title in ("First", "Second"):
        choose(ready_post, make_song(title))
    WebhookEndpoint.objects.update(failing_since=Now() - DISABLE_AFTER - timedelta(minutes=1))
    deliver()
    endpoint.refresh_from_db()
    assert not endpoint.active
    assert endpoint.disabled_reason == "Nothing reached it for 3 days: It answered 500."
    assert endpoint.disabled_reason in caplog.text
    assert set(endpoint.deliveries.exclude(event__kind="ping").values_list("state", flat=True)) == {"failed"}
    later()
    deliver()
    assert len(receiver.got) == 1


def test_an_endpoint_that_is_gone_is_disabled_at_once_and_can_come_back(ready_post, make_song, receiver, endpoint):
    event = choose(ready_post, make_song("First"))
    receiver.behave = status(410)
    deliver()
    endpoint.refresh_from_db()
    assert (endpoint.active, endpoint.disabled_reason) == (False, "It answered 410 Gone.")
    receiver.behave = None
    webhooks.enable_endpoint(endpoint=endpoint)
    assert endpoint.verified_at is None
    deliver()
    assert receiver.kinds() == ["song_chosen", "ping"]
    assert webhooks.replay(endpoint=endpoint, since=event.created_at) == 1
    deliver()
    assert receiver.kinds() == ["song_chosen", "ping", "song_chosen"]


def test_an_attempt_counts_when_the_process_dies_during_it(ready_post, make_song, receiver, endpoint, monkeypatch):
    event = choose(ready_post, make_song("First"))

    def die(*_, **__):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.lanes.webhooks.send", die)
        with pytest.raises(SystemExit):
            deliver()
    row = WebhookDelivery.objects.get(event=event)
    assert (row.state, row.attempts) == ("waiting", 1)
    later()
    deliver()
    assert receiver.kinds() == ["song_chosen"]


def test_while_one_process_sends_to_an_endpoint_no_other_does(ready_post, make_song, receiver, endpoint):
    choose(ready_post, make_song("First"))
    webhooks.fan_out()
    WebhookEndpoint.objects.update(lease_expires_at=Now() + timedelta(seconds=60))
    deliver()
    assert receiver.got == []
    WebhookEndpoint.objects.update(lease_expires_at=Now() - timedelta(seconds=1))  # the process has died
    deliver()
    assert receiver.kinds() == ["song_chosen"]


# Secrets


def test_a_secret_is_not_in_the_database_and_depends_on_the_secret_key(endpoint, settings):
    raw = base64.b64decode(endpoint.secret.removeprefix("whsec_"))
    assert len(raw) == 32
    row = str(WebhookEndpoint.objects.values().get())
    for form in (endpoint.secret.removeprefix("whsec_"), raw.hex(), endpoint.secret):
        assert form not in row
    body = b"{}"
    expected = base64.b64encode(hmac.new(raw, b"id.1.{}", hashlib.sha256).digest()).decode()
    assert signatures([endpoint.salt], event_id="id", timestamp=1, body=body) == f"v1,{expected}"
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key"
    new, old = signatures([endpoint.salt], event_id="id", timestamp=1, body=body).split()
    assert old == f"v1,{expected}"
    assert new != old


def test_a_rotated_secret_and_the_old_one_are_both_valid_for_a_day(ready_post, make_song, receiver, endpoint):
    old, new = endpoint.secret, webhooks.rotate_secret(endpoint=endpoint)
    assert old != new
    choose(ready_post, make_song("First"))
    deliver()
    for secret in (old, new):
        assert verified(secret, receiver.got[0])
    WebhookEndpoint.objects.update(previous_until=Now())
    choose(ready_post, make_song("Second"))
    deliver()
    assert verified(new, receiver.got[1])
    with pytest.raises(WebhookVerificationError):
        verified(old, receiver.got[1])


# Keeping and deleting


def test_old_events_are_deleted_but_none_that_somebody_waits_for(ready_post, make_song, receiver, endpoint):
    receiver.behave = status(500)
    waited_for = choose(ready_post, make_song("First"))
    deliver()
    Event.objects.update(created_at=Now() - timedelta(days=8))
    choose(ready_post, make_song("Second"))
    reconcile.reconcile()
    assert set(Event.objects.values_list("pk", flat=True)) == {waited_for.pk, Event.objects.first().pk}
    receiver.behave = None
    later()
    deliver()
    reconcile.reconcile()
    assert Event.objects.count() == 1


def test_an_event_of_a_deleted_post_is_not_sent(ready_post, make_song, receiver, endpoint):
    choose(ready_post, make_song("First"))
    webhooks.fan_out()
    ready_post.delete()
    deliver()
    assert receiver.got == []
    assert not WebhookDelivery.objects.exclude(event__kind="ping").exists()


# The command


@pytest.fixture
def at_once(monkeypatch):
    """Let the command's pings be delivered while it waits, as a maintenance worker does."""
    monkeypatch.setattr(time, "sleep", lambda _: deliver())


def command(*arguments):
    out, err = StringIO(), StringIO()
    call_command("socialsongs_webhooks", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_an_endpoint_is_added_tested_rotated_and_removed_by_command(receiver, at_once, ready_post, make_song):
    ApiClient.objects.create(name="Theirs", scopes=[])
    secret, said = command("add", receiver.url, "--client", "Theirs", "--kinds", "song_chosen")
    assert secret.startswith("whsec_")
    row = WebhookEndpoint.objects.get()
    assert f"socialsongs_webhooks test {row.pk}" in said
    command("test", row.pk)
    assert verified(secret.strip(), receiver.got[0])["type"] == "ping"
    listed, _ = command("list")
    assert listed.split("\t")[:4] == [str(row.pk), receiver.url, "Theirs", "song_chosen"]
    assert "verified" in listed
    assert command("test", row.pk)
    new, _ = command("rotate", row.pk, "--hours", 0)
    command("test", row.pk)
    assert verified(new.strip(), receiver.got[-1])["type"] == "ping"
    with pytest.raises(WebhookVerificationError):
        verified(secret.strip(), receiver.got[-1])
    command("disable", row.pk)
    assert "disabled: Staff disabled it." in command("list")[0]
    with pytest.raises(CommandError, match="Enable it first"):
        command("test", row.pk)
    command("enable", row.pk)
    assert command("deliveries", row.pk)[0].count("delivered") == 4
    command("remove", row.pk)
    assert command("list")[0] == ""


def test_events_are_sent_again_by_command_also_those_before_the_endpoint(receiver, at_once, ready_post, make_song):
    event = choose(ready_post, make_song("First"))
    deliver()
    command("add", receiver.url)
    row = WebhookEndpoint.objects.get()
    assert "1 events" in command("replay", row.pk, "--event", event.pk)[0]
    deliver()
    assert "1 events" in command("replay", row.pk, "--since", event.created_at.isoformat())[0]
    deliver()
    assert receiver.kinds() == ["ping", "song_chosen", "song_chosen"]
    assert {headers["webhook-id"] for headers, _ in receiver.got[1:]} == {str(event.pk)}
    assert "0 events" in command("replay", row.pk, "--since", "2100-01-01T00:00Z")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "https://127.0.0.2.example.org:22/"], "port 22"),
        (["add", "https://example.org/", "--client", "Nobody"], "no API client"),
        (["test", "00000000-0000-0000-0000-000000000000"], "no endpoint"),
        (["replay", "00000000-0000-0000-0000-000000000000", "--since", "yesterday"], "'yesterday' is no time"),
        (["replay", "00000000-0000-0000-0000-000000000000", "--since", "2026-12-01T14:00"], "offset from UTC"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, said, receiver):
    with pytest.raises(CommandError, match=said):
        command(*arguments)


def test_the_command_says_when_the_ping_fails_or_nobody_sends_it(receiver, at_once, monkeypatch):
    receiver.behave = status(404)
    command("add", receiver.url)
    with pytest.raises(CommandError, match="The ping failed: It answered 404"):
        command("test", WebhookEndpoint.objects.get().pk)
    monkeypatch.setattr("socialsongs.management.commands.socialsongs_webhooks.WAIT_SECONDS", 0)
    with pytest.raises(CommandError, match="No maintenance worker is ready"):
        command("test", WebhookEndpoint.objects.get().pk)


# The contract


def test_every_kind_is_in_the_schema_and_each_body_is_as_it_says(ready_post, make_song, receiver, endpoint):
    document = yaml.load(SNAPSHOT.read_text(), yaml.CSafeLoader)
    assert set(document["webhooks"]) == set(Event.Kind.values)
    events = [Event(kind=kind, post=ready_post) for kind in BY_KIND]
    events[0].request = ready_post.requests.get()
    events[1].song = make_song("First").pk
    events[3].reason = "photo_missing"
    Event.objects.bulk_create(events)
    webhooks.ping(endpoint=endpoint)
    deliver()
    assert set(receiver.kinds()) == set(document["webhooks"])
    for payload in receiver.payloads():
        operation = document["webhooks"][payload["type"]]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert not list(OAS31Validator({**document, **schema}).iter_errors(payload))
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        assert (payload.keys(), payload["data"].keys()) == (named.keys(), named["data"]["properties"].keys())
        broken = {**payload, "version": 2}
        assert list(OAS31Validator({**document, **schema}).iter_errors(broken))
    assert {header["name"] for header in operation["parameters"]} <= receiver.got[0][0].keys()


def test_the_links_of_an_event_lead_to_what_it_is_about(api_of, alice, ready_post, receiver, endpoint):
    text = RecommendationRequest.objects.create(owner=alice, text="rain", state="ready")
    Event.objects.create(kind="suggestions_ready", request=text)
    Event.objects.create(kind="suggestions_ready", post=ready_post, request=ready_post.requests.get())
    deliver()
    found = [payload["data"] for payload in receiver.payloads()]
    assert {data["post"] for data in found} == {None, str(ready_post.pk)}
    for data in found:
        assert api_of(alice).get(data["links"]["request"]).json()["id"] == data["request"]


# The receiver of the docs


@pytest.fixture
def documented(monkeypatch):
    """The receiver of docs/api.md, and the payloads that it has handled."""
    text = (ROOT / "docs" / "api.md").read_text()
    indented = text[text.index("    import base64, hashlib, hmac") : text.index("- **Verification.**")]
    handled = []
    namespace = {"handle": handled.append}
    exec(dedent(indented), namespace)
    return namespace, handled


def test_the_receiver_of_the_docs_takes_what_the_site_sends_and_nothing_else(
    ready_post, make_song, receiver, documented
):
    namespace, handled = documented
    answers = []

    def behave(handler):
        code, body = namespace["receive"](*receiver.got[-1])
        answers.append(code)
        handler.send_response(code)
        handler.end_headers()
        handler.wfile.write(body)

    receiver.behave = behave
    made, secret = webhooks.add_endpoint(url=receiver.url)
    namespace["SECRETS"] = [secret]
    deliver()
    made.refresh_from_db()
    assert made.verified_at
    event = choose(ready_post, make_song("First"))
    deliver()
    webhooks.replay(endpoint=made, event=event.pk)
    deliver()
    assert answers == [200, 204, 204]
    assert [payload["data"]["post"] for payload in handled] == [str(ready_post.pk)]
    namespace["SECRETS"] = [webhooks.rotate_secret(endpoint=made)]
    choose(ready_post, make_song("Second"))
    deliver()
    assert (answers[-1], len(handled)) == (204, 2)

    headers, body = receiver.got[-1]
    receive = namespace["receive"]
    namespace["SEEN"].clear()
    for skew in (-301, 301):  # a webhook that somebody recorded, or a clock that is wrong
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time", lambda skew=skew: int(headers["webhook-timestamp"]) + skew)
            assert receive(headers, body)[0] == 400
    for name, value in {
        "webhook-id": "another", "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1),
        "webhook-signature": "v1,AAAA",
    }.items():  # fmt: skip
        assert receive({**headers, name: value}, body)[0] == 401
    assert receive({**headers, "webhook-timestamp": "now"}, body)[0] == 400
    assert receive(headers, body + b" ")[0] == 401
    assert len(handled) == 2
    assert receive(headers, body)[0] == 204


# The admin


ADMIN = "/admin/socialsongs/webhookendpoint/"


def test_staff_add_rotate_and_enable_endpoints_in_the_admin(client, staff, receiver, ready_post, make_song):
    client.force_login(staff)
    refused = client.post(f"{ADMIN}add/", {"url": "https://10.0.0.1/"})
    assert "may not be sent to 10.0.0.1" in refused.content.decode()
    page = client.post(f"{ADMIN}add/", {"url": receiver.url, "kinds": ["song_chosen"]})
    secret = re.search(r"whsec_[\w+/=]+", page.content.decode())[0]
    assert "no-store" in page.headers["Cache-Control"]
    deliver()
    assert verified(secret, receiver.got[0])["type"] == "ping"
    row = WebhookEndpoint.objects.get()
    assert row.verified_at

    def act(action, path=ADMIN, **extra):
        chosen = row.pk if path == ADMIN else WebhookDelivery.objects.exclude(event__kind="ping").get().pk
        return client.post(path, {"action": action, "_selected_action": chosen, **extra}, follow=True).content.decode()

    new = re.search(r"whsec_[\w+/=]+", act("rotate"))[0]
    assert new != secret
    assert "whsec_" not in client.get(f"{ADMIN}{row.pk}/change/").content.decode()
    act("ping")
    deliver()
    for text in (secret, new):
        assert verified(text, receiver.got[1])["type"] == "ping"
    receiver.behave = status(410)
    choose(ready_post, make_song("First"))
    deliver()
    assert "disabled: It answered 410 Gone." in client.get(ADMIN).content.decode()
    receiver.behave = None
    act("enable")
    deliver()
    assert "1 delivery is queued" in act("send_again", "/admin/socialsongs/webhookdelivery/")
    deliver()
    assert receiver.kinds() == ["ping", "ping", "song_chosen", "ping", "song_chosen"]


def test_staff_send_signals_again(client, staff, ready_post, make_song):
    event = choose(ready_post, make_song("First"))
    Event.objects.update(state="failed", attempts=8, failing=["host.receiver"], error="ValueError()", fanned_out=True)
    client.force_login(staff)
    page = client.get("/admin/socialsongs/event/").content.decode()
    assert "host.receiver" in page
    client.post("/admin/socialsongs/event/", {"action": "send_again", "_selected_action": event.pk})
    event.refresh_from_db()
    assert (event.state, event.attempts, event.failing) == ("waiting", 0, ["host.receiver"])


# Attached photos


@pytest.mark.django_db(transaction=True)
def test_an_event_of_an_attached_photo_names_the_host_s_photo(alice, make_song, photo_bytes, receiver, endpoint):
    picture = Picture.objects.create(file=ContentFile(photo_bytes(), "a.jpg"), author=alice)
    heard = []

    def hear(sender, event, **_):
        heard.append((sender, event.photo_model, event.photo_key, event.owner_id))

    song_chosen.connect(hear, sender=Picture)
    socialsongs.choose(picture, make_song("First"), user=alice)
    deliver()
    while send_signal():
        pass
    song_chosen.disconnect(hear, sender=Picture)
    assert heard == [(Picture, "gallery.picture", str(picture.pk), alice.pk)]
    (payload,) = receiver.payloads()
    assert payload["data"]["photo"] == {"model": "gallery.picture", "key": str(picture.pk)}
    assert payload["data"]["post"] == str(socialsongs.post_of(picture).pk)
