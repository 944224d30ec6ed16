"""Claims and leases: which worker has a row, and which may write its result."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import DataError, connection
from django.db.models import F
from django.db.models.functions import Now

from socialsongs.models import Post, State
from socialsongs.services.posts import create_post
from workers.lanes.claim import (
    EXHAUSTED,
    claim,
    delay,
    fail_exhausted,
    finish,
    hand_back,
    holding,
    in_halves,
    put_back,
    renew,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def posts(alice, upload):
    return [create_post(owner=alice, uploads=[upload()])[0] for _ in range(3)]


def test_it_takes_the_oldest_and_counts_the_attempt(posts):
    taken = claim(Post.objects.all(), limit=2)
    assert [row.pk for row in taken.rows] == [posts[0].pk, posts[1].pk]
    for row in taken.rows:
        assert (row.state, row.attempts, row.lease_token) == (State.ANALYSING, 1, taken.token)
    assert [row.pk for row in claim(Post.objects.all(), limit=2).rows] == [posts[2].pk]
    assert claim(Post.objects.all(), limit=2).rows == []


def test_a_row_that_was_tried_before_is_taken_alone(posts):
    """The row may have killed its process."""
    killed = claim(Post.objects.all(), limit=3)
    Post.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert len(killed.rows) == 3
    for row in killed.rows:
        again = claim(Post.objects.all(), limit=3)
        assert [(one.pk, one.attempts) for one in again.rows] == [(row.pk, 2)]


def test_rows_that_were_tried_before_hold_up_no_fresh_ones(posts):
    Post.objects.filter(pk=posts[1].pk).update(attempts=1)
    taken = [{row.pk for row in claim(Post.objects.all(), limit=3).rows} for _ in range(3)]
    assert taken == [{posts[0].pk, posts[2].pk}, {posts[1].pk}, set()]


def test_a_lease_that_ran_out_is_taken_over_and_the_first_holder_writes_nothing(posts):
    first = claim(Post.objects.all(), limit=1)
    Post.objects.filter(pk=first.rows[0].pk).update(lease_expires_at=Now() - timedelta(seconds=1))
    second = claim(Post.objects.filter(pk=first.rows[0].pk), limit=1)
    assert second.rows[0].attempts == 2
    with holding(first.rows, first.token) as held:
        assert held == []
    with holding(second.rows, second.token) as held:
        finish(held)
    done = Post.objects.get(pk=first.rows[0].pk)
    assert (done.state, done.lease_token) == (State.READY, None)
    assert done.finished_at is not None


def test_rows_that_used_up_their_attempts_are_not_taken_but_failed(posts, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_ATTEMPTS": 2}
    Post.objects.update(attempts=2)
    assert claim(Post.objects.all(), limit=3).rows == []
    assert fail_exhausted(Post.objects.all()) == 3
    assert set(Post.objects.values_list("state", "reason")) == {(State.FAILED, EXHAUSTED)}


def test_a_live_lease_is_left_alone_by_everybody(posts):
    taken = claim(Post.objects.all(), limit=3)
    Post.objects.update(attempts=3)
    assert fail_exhausted(Post.objects.all()) == 0
    assert Post.objects.filter(lease_token=taken.token).count() == 3


def test_put_back_waits_before_the_next_try_and_fails_the_last(posts, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_ATTEMPTS": 2}
    post = Post.objects.filter(pk=posts[0].pk)
    first = claim(post, limit=1)
    put_back(first.rows[0], first.token)
    assert post.get().state == State.QUEUED
    assert claim(post, limit=1).rows == []  # not yet
    post.update(queued_at=Now() - timedelta(seconds=1))
    second = claim(post, limit=1)
    put_back(second.rows[0], second.token)
    assert (post.get().state, post.get().reason) == (State.FAILED, EXHAUSTED)


def test_what_is_handed_back_waits_where_it_waited(posts):
    taken = claim(Post.objects.all(), limit=2)
    hand_back(taken.rows, taken.token)
    again = claim(Post.objects.all(), limit=3)
    assert [(row.pk, row.attempts) for row in again.rows] == [(post.pk, 1) for post in posts]


def test_an_outage_does_not_count_but_has_an_end(posts, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_ATTEMPTS": 1, "OUTAGE_SECONDS": 600}
    post = Post.objects.filter(pk=posts[0].pk)

    def fail_for(minutes):
        if minutes:
            post.update(queued_at=Now(), delayed_since=Now() - timedelta(minutes=minutes))
        taken = claim(post, limit=1)
        delay(taken.rows[0], taken.token, reason="storage_unavailable")
        return post.annotate(waits=F("queued_at") - Now()).get()

    for minutes, seconds in ((0, 2), (1, 30), (5, 60)):  # half of the outage so far, within bounds
        delayed = fail_for(minutes)
        assert (delayed.state, delayed.attempts, delayed.reason, delayed.lease_token) == (State.QUEUED, 0, "", None)
        assert delayed.waits.total_seconds() == pytest.approx(seconds, abs=0.5)
        assert claim(post, limit=1).rows == []
    over = fail_for(11)
    assert (over.state, over.reason) == (State.FAILED, "storage_unavailable")
    assert over.finished_at is not None


def test_after_an_outage_the_next_one_begins_anew(posts):
    post = Post.objects.filter(pk=posts[0].pk)
    taken = claim(post, limit=1)
    delay(taken.rows[0], taken.token, reason="storage_unavailable")
    post.update(queued_at=Now())
    taken = claim(post, limit=1)
    with holding(taken.rows, taken.token) as held:
        finish(held)
    assert post.get().delayed_since is None


def test_a_renewed_lease_is_a_whole_one_for_rows_that_are_ours(posts):
    taken = claim(Post.objects.all(), limit=2)
    mine, lost = taken.rows
    Post.objects.update(lease_expires_at=Now() + timedelta(seconds=1))
    Post.objects.filter(pk=lost.pk).update(lease_token=uuid.uuid4())
    renew(taken)
    left = dict(Post.objects.annotate(left=F("lease_expires_at") - Now()).values_list("pk", "left"))
    assert left[mine.pk].total_seconds() == pytest.approx(60, abs=1)
    assert left[lost.pk].total_seconds() < 1


def test_only_rows_without_an_attempt_are_claimed_ahead(posts):
    Post.objects.filter(pk=posts[0].pk).update(attempts=1)
    assert [row.pk for row in claim(Post.objects.all(), limit=3, fresh=True).rows] == [posts[1].pk, posts[2].pk]


def test_put_back_by_somebody_who_lost_the_row_changes_nothing(posts):
    taken = claim(Post.objects.filter(pk=posts[0].pk), limit=1)
    put_back(taken.rows[0], uuid.uuid4())
    assert Post.objects.get(pk=posts[0].pk).lease_token == taken.token


def test_what_the_database_refuses_is_found_in_halves_and_the_rest_written():
    written = []

    def write(items):
        if bad := {3, 6} & set(items):
            raise DataError(f"refused {bad}")
        written.extend(items)

    refused = in_halves(write, range(8))
    assert [item for item, error in refused if isinstance(error, DataError)] == [3, 6]
    assert written == [0, 1, 2, 4, 5, 7]
    assert in_halves(write, []) == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_share_the_rows_without_overlap(alice, upload):
    made = {create_post(owner=alice, uploads=[upload()])[0].pk for _ in range(12)}
    taken: list[uuid.UUID] = []
    gate = threading.Barrier(4)

    def work():
        gate.wait()
        while rows := claim(Post.objects.all(), limit=2).rows:
            taken.extend(row.pk for row in rows)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 12
    assert set(taken) == made
