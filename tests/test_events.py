"""Events: written with the change, sent after the commit by the maintenance worker, at least once."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from socialsongs import signals
from socialsongs.models import Event, Post, State
from socialsongs.selectors.events import due_events
from socialsongs.services.feedback import choose_song, clear_choice
from socialsongs.services.posts import create_post
from socialsongs.services.webhooks import fan_out
from workers.lanes.claim import claim, delay, fail_exhausted, finish, holding, put_back
from workers.lanes.events import RECEIVER_ATTEMPTS, Threads, send_signal

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard():
    """Connect a receiver to all signals; return the list of what it gets, as (signal, sender, event)."""
    found = []

    def hear(signal, sender, event, **_):
        found.append((signal, sender, event))

    for signal in signals.BY_KIND.values():
        signal.connect(hear)
    yield found
    for signal in signals.BY_KIND.values():
        signal.disconnect(hear)


def send_all():
    fan_out()
    while send_signal():
        pass


def due_now():
    Event.objects.filter(state="waiting").update(next_at=Now())


def kinds():
    return list(Event.objects.order_by("created_at").values_list("kind", "post", "song"))


def claimed(post):
    return claim(Post.objects.filter(pk=post.pk), limit=1)


# What is recorded


def test_a_choice_is_recorded_once_and_its_end(ready_post, alice, make_song):
    first, second = make_song("First"), make_song("Second")
    clear_choice(post=ready_post)
    for song in (first, first, second):
        choose_song(post=ready_post, user=alice, song_id=song.pk)
    clear_choice(post=ready_post)
    clear_choice(post=ready_post)
    pk = ready_post.pk
    assert kinds() == [
        ("song_chosen", pk, first.pk), ("song_chosen", pk, second.pk), ("song_unchosen", pk, second.pk),
    ]  # fmt: skip


def test_a_song_that_is_deleted_is_no_longer_chosen(ready_post, alice, make_song):
    song = make_song("First")
    choose_song(post=ready_post, user=alice, song_id=song.pk)
    gone = song.pk
    song.delete()
    assert kinds()[1:] == [("song_unchosen", ready_post.pk, gone)]


def test_a_change_that_is_rolled_back_leaves_no_event(ready_post, alice, make_song):
    song = make_song("First")
    with transaction.atomic():
        choose_song(post=ready_post, user=alice, song_id=song.pk)
        transaction.set_rollback(True)
    assert kinds() == []


@pytest.mark.parametrize("way", ["finish", "put_back", "delay", "exhausted"])
def test_every_way_in_which_a_post_fails_is_recorded_once(way, alice, upload, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_ATTEMPTS": 1}
    post, _ = create_post(owner=alice, uploads=[upload()])
    taken = claimed(post)
    reason = "attempts_exhausted"
    if way == "finish":
        reason = "photo_missing"
        with holding(taken.rows, taken.token) as held:
            finish(held, state=State.FAILED, reason=reason)
    elif way == "put_back":
        put_back(taken.rows[0], taken.token)
    elif way == "delay":
        reason = "storage_unavailable"
        Post.objects.update(delayed_since=Now() - timedelta(days=1))
        delay(taken.rows[0], taken.token, reason=reason)
    else:
        Post.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        assert (fail_exhausted(Post.objects.all()), fail_exhausted(Post.objects.all())) == (1, 0)
    put_back(taken.rows[0], taken.token)  # the claim is over
    post.refresh_from_db()
    assert (post.state, post.reason) == (State.FAILED, reason)
    event = Event.objects.get()
    assert (event.kind, event.post, event.reason) == ("post_failed", post, reason)


# Signals


def test_receivers_get_the_event_with_its_id_and_only_once(ready_post, alice, make_song, heard):
    song = make_song("First")
    choose_song(post=ready_post, user=alice, song_id=song.pk)
    assert heard == []  # the web process sends nothing itself
    send_all()
    send_all()
    ((signal, sender, event),) = heard
    assert (signal, sender) == (signals.song_chosen, Post)
    row = Event.objects.get()
    assert event == signals.PostEvent(
        id=row.pk, kind="song_chosen", created_at=row.created_at, post_id=ready_post.pk, song_id=song.pk,
        owner_id=alice.pk,
    )  # fmt: skip
    assert row.state == "sent"
    assert not due_events().exists()


def test_a_receiver_that_raises_is_called_again_and_the_others_are_not(ready_post, alice, make_song, heard):
    calls = []

    def picky(event, **_):
        calls.append(event.id)
        if len(calls) < 3:
            raise ZeroDivisionError("not yet")

    signals.song_chosen.connect(picky)
    choose_song(post=ready_post, user=alice, song_id=make_song("First").pk)
    send_all()
    row = Event.objects.get()
    assert row.failing == [f"{__name__}.{picky.__qualname__}"]
    assert "ZeroDivisionError('not yet')" in row.error
    assert not due_events().exists()  # only after a pause
    for _ in range(3):
        due_now()
        send_all()
    row.refresh_from_db()
    assert (row.state, row.attempts, calls) == ("sent", 3, [row.pk] * 3)
    assert len(heard) == 1
    signals.song_chosen.disconnect(picky)


def test_a_receiver_that_always_raises_ends_as_failed_and_holds_up_no_other_event(
    ready_post, alice, make_song, heard, caplog
):
    def broken(**_):
        raise ZeroDivisionError

    signals.song_chosen.connect(broken)
    for title in ("First", "Second"):
        choose_song(post=ready_post, user=alice, song_id=make_song(title).pk)
    clear_choice(post=ready_post)
    send_all()
    assert [event.kind for _, _, event in heard] == ["song_chosen", "song_chosen", "song_unchosen"]
    for _ in range(RECEIVER_ATTEMPTS):
        due_now()
        send_all()
    assert sorted(Event.objects.values_list("kind", "state", "attempts")) == [
        ("song_chosen", "failed", RECEIVER_ATTEMPTS), ("song_chosen", "failed", RECEIVER_ATTEMPTS),
        ("song_unchosen", "sent", 1),
    ]  # fmt: skip
    assert "the last time" in caplog.text
    signals.song_chosen.disconnect(broken)


def test_a_receiver_that_kills_its_process_is_not_called_for_ever(ready_post, alice, make_song, heard):
    choose_song(post=ready_post, user=alice, song_id=make_song("First").pk)
    fan_out()
    Event.objects.update(attempts=RECEIVER_ATTEMPTS)  # each attempt was counted before the process died
    send_all()
    assert heard == []
    assert Event.objects.get().state == "failed"
    assert "process ended" in Event.objects.get().error


def test_an_asynchronous_receiver_is_called_as_well(ready_post, alice, make_song):
    found = []

    async def hear(event, **_):
        found.append(event.kind)
        if len(found) == 1:
            raise ZeroDivisionError

    signals.song_chosen.connect(hear)
    choose_song(post=ready_post, user=alice, song_id=make_song("First").pk)
    send_all()
    assert Event.objects.get().failing == [f"{__name__}.{hear.__qualname__}"]
    due_now()
    send_all()
    assert (found, Event.objects.get().state) == (["song_chosen"] * 2, "sent")
    signals.song_chosen.disconnect(hear)


def test_receivers_of_a_class_hear_only_of_its_photos(ready_post, alice, make_song):
    found = []
    hear = partial(lambda found, **named: found.append(named["event"].kind), found)
    signals.song_chosen.connect(hear, sender=type(alice))
    choose_song(post=ready_post, user=alice, song_id=make_song("First").pk)
    send_all()
    assert found == []
    assert Event.objects.get().state == "sent"
    signals.song_chosen.disconnect(hear, sender=type(alice))


@pytest.mark.django_db(transaction=True)
def test_two_processes_send_each_event_once(ready_post, alice, make_song, heard):
    for number in range(6):
        choose_song(post=ready_post, user=alice, song_id=make_song(f"Number {number}").pk)
    gate = threading.Barrier(2)

    def work():
        gate.wait()
        send_all()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == len({event.id for _, _, event in heard}) == 6


# Threads


def test_a_wake_up_during_the_last_look_is_not_lost():
    looks, gate = [], threading.Event()

    def work():
        looks.append(1)
        if len(looks) == 1:
            gate.wait(5)
        return False

    threads = Threads("test", work, lambda: 1)
    threads.wake()
    (thread,) = (one for one in threading.enumerate() if one.name == "test")
    while not looks:
        pass
    threads.wake()  # while the only thread has found nothing, but has not ended yet
    gate.set()
    thread.join(5)
    assert len(looks) == 2
