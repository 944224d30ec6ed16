"""Figures from logged choices: rates by release, examination by rank, estimated rate of another order."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from recommender.evaluate.click_model import (
    ETA,
    ETA_DEVIATION,
    ClickLog,
    Examination,
    difference,
    estimate_rates,
    fit_examination,
    reordered,
)
from socialsongs.models import Feedback, Suggestion
from socialsongs.selectors.shown_lists import choose_rates, shown_lists
from socialsongs.services.feedback import choose_song, record_feedback
from socialsongs.services.posts import create_post
from socialsongs.services.releases import register

PLACES = 10


def people(appeal, ranks, eta, rng):
    """Simulate choices: rank r is examined with probability r^-eta; at most one appealing song is chosen."""
    hits = rng.random(ranks.shape) < ranks.astype(float) ** -eta * appeal
    lot = np.where(hits, rng.random(ranks.shape), -1.0)
    return hits & (lot == lot.max(1, keepdims=True))


def lists_by_score(count, eta, seed, slope=1.0, appeal=0.008):
    """Return lists in the order of scores; a tenth of them has a random song at a random place after the first."""
    rng = np.random.default_rng(seed)
    ranks = np.tile(np.arange(1, PLACES + 1), (count, 1))
    scores = -np.sort(-rng.normal(1.0, 0.5, ranks.shape), axis=1)
    some = np.flatnonzero(rng.random(count) < 0.1)
    scores[some, rng.integers(1, PLACES, len(some))] = rng.normal(-1.0, 0.5, len(some))
    chosen = people(appeal * np.exp(slope * scores), ranks, eta, rng)
    return ClickLog(ranks, scores * 7 + 3, chosen)  # of whatever unit


@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("eta", [0.3, 0.6, 1.0])
def test_the_examination_by_rank_is_estimated_also_where_relevance_falls_with_rank(eta, slope):
    found = fit_examination(lists_by_score(20_000, eta, seed=1, slope=slope))
    assert found.error < 0.15
    assert abs(found.eta - eta) < 4 * found.error


def test_with_little_data_the_estimate_stays_near_the_prior():
    nothing = fit_examination(lists_by_score(20, 1.0, seed=2, appeal=0.0))
    assert nothing == Examination(ETA, pytest.approx(ETA_DEVIATION), 0)
    few = fit_examination(lists_by_score(12, 1.0, seed=3, appeal=0.05))
    assert 0 < few.choices < 12
    assert abs(few.eta - ETA) < ETA_DEVIATION
    assert 0.7 * ETA_DEVIATION < few.error < ETA_DEVIATION


def test_a_list_of_one_song_says_nothing_of_places():
    one = np.array([[1, 0, 0]])
    assert fit_examination(ClickLog(one, np.zeros(one.shape), one == 1)).eta == pytest.approx(ETA)


def test_a_choice_far_down_counts_for_more_but_not_for_all():
    look = Examination(1.0, 0.1, 50)
    ranks = np.array([1, 4, 50])
    assert look.weights(ranks).tolist() == [1.0, 4.0, 10.0]
    assert look.weights(ranks, most=1.0).tolist() == [1.0, 1.0, 1.0]
    assert look.at(np.array([2, 0])).tolist() == [0.5, 0.0]


def test_an_order_keeps_the_places_of_a_list():
    ranks = np.array([[1, 2, 4], [1, 3, 0]])
    assert reordered(np.array([[0.1, 0.9, 0.5], [0.2, 0.4, 9.0]]), ranks).tolist() == [[4, 1, 2], [3, 1, 0]]


def logs(count, eta, seed):
    """Return lists in a poor order, and which of their songs appeal."""
    rng = np.random.default_rng(seed)
    appeal = rng.beta(0.3, 8.0, (count, PLACES))
    ranks = np.tile(np.arange(1, PLACES + 1), (count, 1))
    chosen = people(appeal, ranks, eta, rng)
    return ClickLog(ranks, appeal, chosen), appeal, rng


def test_the_choose_rate_of_another_order_is_what_it_turns_out_to_be():
    eta = 0.8
    log, appeal, rng = logs(10_000, eta, seed=4)
    better = reordered(appeal + rng.normal(scale=0.02, size=appeal.shape), log.ranks)
    worse = reordered(-appeal, log.ranks)
    orders = {"shown": log.ranks, "better": better, "worse": worse}
    rates, leads = estimate_rates(log, orders, Examination(eta, 0.1, 9), beside="shown")
    for name, order in (("better", better), ("worse", worse)):
        truth = people(appeal, order, eta, rng).any(1).mean()
        assert rates[name].value == pytest.approx(truth, rel=0.1)
    assert rates["shown"].value == pytest.approx(log.chosen.any(1).mean())
    assert leads["shown"] == (0, 0, 0)
    assert leads["better"].low > 0
    assert leads["worse"].high < 0


def test_a_random_order_is_not_reported_as_better():
    log, appeal, rng = logs(4000, 0.6, seed=5)
    orders = {"shown": log.ranks, "lot": reordered(rng.random(appeal.shape), log.ranks)}
    _, leads = estimate_rates(log, orders, Examination(0.6, 0.1, 9), beside="shown")
    assert leads["lot"].low < 0 < leads["lot"].high


def test_the_estimate_is_corrected_for_clipped_weights():
    """The last song moves to the first place in every list; without clipping its weight would be 100^1."""
    ranks = np.tile([1, 100], (1000, 1))
    chosen = np.zeros(ranks.shape, bool)
    chosen[:500, 0] = True
    rates, _ = estimate_rates(
        ClickLog(ranks, np.zeros(ranks.shape), chosen),
        {"as it was": ranks, "turned": ranks[:, ::-1]},
        Examination(1.0, 0.1, 9),
        beside="as it was",
    )
    kept = (1 * 0.01 + 0.01 * 10) / 1.01  # of a list's weight
    assert rates["turned"].value == pytest.approx(0.5 * 0.01 / kept)


def test_differences_are_paired():
    first = np.tile([0.0, 1.0], 200)
    lead = difference(first, np.where(np.arange(400) < 40, 1.0, first))
    assert lead.value == pytest.approx(0.05)
    assert 0 < lead.low < 0.05 < lead.high


# From the database


def look_at(post, user, songs):
    for song in songs:
        record_feedback(post=post, user=user, song_id=song, kind="impression")


@pytest.fixture
def songs(ready_post):
    """Return the songs of Alice's post in order."""
    return list(Suggestion.objects.filter(request__post=ready_post).values_list("song", flat=True))


@pytest.mark.django_db
def test_lists_with_a_choice_are_counted_by_release(ready_post, alice, songs):
    assert choose_rates() == []
    look_at(ready_post, alice, songs)
    (rate,) = choose_rates()
    assert rate[:4] == ("written-down", 1, 0, 0.0)
    assert rate.low == 0
    assert 0.7 < rate.high < 0.8
    for song in songs[:2]:
        choose_song(post=ready_post, user=alice, song_id=song)
    (rate,) = choose_rates()
    assert rate[:4] == ("written-down", 1, 1, 1.0)
    assert rate.high == 1
    assert 0.2 < rate.low < 0.3


@pytest.mark.django_db
def test_a_list_without_impressions_does_not_count(ready_post, alice, songs, release):
    choose_song(post=ready_post, user=alice, song_id=songs[0])
    assert choose_rates() == []
    assert shown_lists(release=release, limit=10) == []


@pytest.mark.django_db
def test_a_choice_counts_for_the_release_whose_list_it_was(ready_post, alice, songs):
    look_at(ready_post, alice, songs)
    choose_song(post=ready_post, user=alice, song_id=songs[0])
    other = register(name="other", sha256="1" * 64, card={})
    shown = Feedback.objects.filter(kind="impression").first()
    shown.pk, shown.release, shown.song_id = None, other, songs[0]
    Feedback.objects.filter(kind="impression", song=songs[0]).delete()
    shown.save()
    assert [rate[:3] for rate in choose_rates()] == [("other", 1, 0), ("written-down", 1, 1)]


@pytest.mark.django_db
def test_feedback_of_deleted_posts_is_no_list(ready_post, alice, songs, release):
    look_at(ready_post, alice, songs)
    Feedback.objects.update(request=None, user=None)
    assert choose_rates() == []
    assert shown_lists(release=release, limit=10) == []


@pytest.mark.django_db
def test_only_lists_since_then_are_counted(ready_post, alice, songs):
    look_at(ready_post, alice, songs)
    now = timezone.now()
    Feedback.objects.update(created_at=now - timedelta(days=2))
    assert choose_rates(since=now - timedelta(days=1)) == []
    assert len(choose_rates(since=now - timedelta(days=3))) == 1


@pytest.mark.django_db
def test_a_list_has_its_last_choice(ready_post, alice, songs, release):
    look_at(ready_post, alice, songs[:1])
    for song in (songs[0], songs[1]):
        choose_song(post=ready_post, user=alice, song_id=song)
    (shown,) = shown_lists(release=release, limit=10)
    assert shown.post == ready_post.pk
    assert shown.songs == {song: (rank, 1.0 / rank) for rank, song in enumerate(songs, start=1)}
    assert shown.chosen == songs[1]
    assert shown_lists(release=release, limit=10, public_only=True) == []
    other = register(name="other", sha256="1" * 64, card={})
    assert shown_lists(release=other, limit=10) == []


@pytest.mark.django_db
def test_a_list_that_was_replaced_is_left_out(ready_post, alice, songs, make_song, release):
    look_at(ready_post, alice, songs)
    choose_song(post=ready_post, user=alice, song_id=songs[0])
    Suggestion.objects.filter(song=songs[0]).update(song=make_song("Another"))
    assert shown_lists(release=release, limit=10) == []
    assert choose_rates()[0].chosen == 1


@pytest.mark.django_db
def test_the_newest_lists_come_last_and_the_oldest_are_left_out(ready_post, alice, songs, upload, release):
    later, _ = create_post(owner=alice, uploads=[upload()], caption="Later")
    Suggestion.objects.create(request=later.requests.get(), song_id=songs[0], release=release, rank=1, score=1.0)
    look_at(later, alice, songs[:1])
    look_at(ready_post, alice, songs)
    assert [shown.post for shown in shown_lists(release=release, limit=10)] == [later.pk, ready_post.pk]
    assert [shown.post for shown in shown_lists(release=release, limit=1)] == [ready_post.pk]
