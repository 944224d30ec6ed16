"""Signals and webhooks with a real maintenance worker: broker away, killed while it sends, endpoints that hang."""

import json
from contextlib import ExitStack

import pytest
from django.db.models.functions import Now

from socialsongs.models import Event, WebhookDelivery, WebhookEndpoint, Worker
from socialsongs.services.feedback import choose_song
from socialsongs.services.webhooks import add_endpoint
from socialsongs.site.processes import BEAT

from .endpoints import HERE, answer, receiving
from .processes import process, wait_until

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


def test_a_worker_tells_all_that_want_to_hear_whatever_happens_to_it(ready_post, alice, make_song, settings, tmp_path):
    log, heard, stay = tmp_path / "maintenance.log", tmp_path / "events", tmp_path / "stay"
    songs = [make_song(f"Number {number}") for number in range(3)]
    broker = settings.SOCIALSONGS["BROKER_URL"]
    # The web process reaches no broker: the reconciler finds the events.
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, **HERE, "BROKER_URL": "redis://127.0.0.1:1/0"}
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.hearing.settings",
        "HEARD": str(tmp_path),
        "SOCIALSONGS_BROKER_URL": broker,
        "SOCIALSONGS_RECONCILE_SECONDS": "1",
        "SOCIALSONGS_HEARTBEAT_SECONDS": "1",
        "SOCIALSONGS_WEBHOOK_ALLOW_HTTP": "1",
        "SOCIALSONGS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "SOCIALSONGS_WEBHOOK_SECONDS": "60",
        "SOCIALSONGS_WEBHOOK_CONNECTIONS": "3",
    }

    def choose(song):
        choose_song(post=ready_post, user=alice, song_id=song.pk)
        return Event.objects.filter(kind="song_chosen").first()

    def told(event):
        return heard.read_text().count(str(event.pk)) if heard.exists() else 0

    with ExitStack() as stack:
        good, slow = stack.enter_context(receiving()), stack.enter_context(receiving())

        def behave(handler):
            if slow.kinds()[-1] == "ping":
                answer(handler, json.dumps({"challenge": slow.payloads()[-1]["data"]["challenge"]}).encode())
            else:
                slow.hang(handler)

        slow.behave = behave
        for url in (good.url, slow.url):
            add_endpoint(url=url)
        stay.touch()
        with process(BEAT, log, **environment) as worker:
            wait_until(lambda: not WebhookEndpoint.objects.filter(verified_at=None).exists(), log)
            first = choose(songs[0])
            wait_until(lambda: told(first) and "song_chosen" in slow.kinds(), log)
            # The receiver stays, one endpoint hangs: the other hears of everything, and the reconciler goes on.
            second = choose(songs[1])
            wait_until(lambda: good.kinds().count("song_chosen") == 2, log, 20)
            seen = Worker.objects.get().seen_at
            wait_until(lambda: Worker.objects.get().seen_at > seen, log, 20)
            assert Event.objects.get(pk=first.pk).state == "waiting"
            worker.kill()  # while it calls the receiver, and sends to an endpoint
        third = choose(songs[2])  # nobody is there
        assert (told(first), told(second), told(third)) == (1, 0, 0)
        stay.unlink()
        slow.behave = None
        let_time_pass()
        with process(BEAT, log, **environment):
            wait_until(lambda: not Event.objects.filter(state="waiting").exists(), log)
            wait_until(lambda: not WebhookDelivery.objects.filter(state="waiting").exists(), log)
    assert (told(first), told(second), told(third)) == (2, 1, 1)  # at least once
    assert set(Event.objects.values_list("state", flat=True)) == {"sent"}
    assert good.kinds() == ["ping"] + ["song_chosen"] * 3
    ids = [headers["webhook-id"] for headers, body in slow.got if b"song_chosen" in body]
    assert sorted(ids) == sorted(str(event.pk) for event in (first, first, second, third))
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"delivered"}


def let_time_pass():
    """Let leases and pauses end, which take a minute or more."""
    Event.objects.filter(state="waiting").update(next_at=Now())
    WebhookDelivery.objects.filter(state="waiting").update(next_at=Now())
    WebhookEndpoint.objects.update(lease_expires_at=None, resume_at=None)
