"""Taste: whose choices count, and for whom."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from socialsongs.errors import TasteNotOffered
from socialsongs.models import Feedback, Song, Suggestion, Taste
from socialsongs.selectors.taste import taste_events, taste_of, taste_songs
from socialsongs.services.feedback import choose_song
from socialsongs.services.taste import offer_taste, reset, set_enabled

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(ready_post, release):
    """Return a function that records feedback of a person, ``minutes`` ago."""

    def write(user, song, kind, minutes=0):
        row = Feedback.objects.create(
            request=ready_post.requests.get(), song=song, user=user, kind=kind, release=release, rank=1, propensity=1.0
        )
        Feedback.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=minutes))

    return write


@pytest.fixture
def offered(alice):
    taste = offer_taste(user=alice)
    Taste.objects.update(since=timezone.now() - timedelta(days=1))
    return taste


def titles(user):
    return tuple([song.title for song in songs] for songs in taste_songs(user=user))


def test_nothing_counts_until_the_host_offers_it(told, make_song, alice):
    told(alice, make_song("Chosen"), "choose")
    assert taste_of(user=alice) is None
    assert taste_songs(user=alice) == ([], [])
    assert taste_events(user=alice) == []
    with pytest.raises(TasteNotOffered):
        set_enabled(user=alice, enabled=True)
    reset(user=alice)
    assert not Taste.objects.exists()


def test_offered_twice_is_offered_once(alice):
    first = offer_taste(user=alice)
    set_enabled(user=alice, enabled=False)
    assert offer_taste(user=alice) == first
    assert not taste_of(user=alice).enabled  # who turned it off is not asked again


def test_choices_are_liked_and_skips_and_hides_disliked_newest_first(told, make_song, alice, offered):
    for minutes, kind in enumerate(["choose", "skip", "hide", "choose"]):
        told(alice, make_song(f"{kind} {minutes}"), kind, minutes)
    for kind in ("play", "impression"):
        told(alice, make_song(kind), kind)
    assert titles(alice) == (["choose 0", "choose 3"], ["skip 1", "hide 2"])
    assert [liked for _, liked in taste_events(user=alice)] == [True, False, False, True]


def test_a_song_counts_by_what_was_done_with_it_last(told, make_song, alice, offered):
    song = make_song("Second thoughts")
    told(alice, song, "hide", minutes=5)
    told(alice, song, "choose", minutes=1)
    assert taste_events(user=alice) == [(song.pk, True)]


def test_choosing_again_counts_as_the_last_thing_done(ready_post, alice, offered):
    first, second = (Suggestion.objects.get(rank=rank).song_id for rank in (1, 2))
    for song in (first, second, first):
        choose_song(post=ready_post, user=alice, song_id=song)
    assert taste_events(user=alice) == [(first, True), (second, True)]
    reset(user=alice)
    choose_song(post=ready_post, user=alice, song_id=first)
    assert taste_events(user=alice) == [(first, True)]


@override_settings(SOCIALSONGS={"TASTE_EVENTS": 2})
def test_only_the_latest_count(told, make_song, alice, offered):
    for minutes, kind in enumerate(["choose", "skip", "choose"]):
        told(alice, make_song(f"Song of {minutes}"), kind, minutes)
    assert titles(alice) == (["Song of 0"], ["Song of 1"])
    assert len(taste_events(user=alice)) == 2


def test_songs_that_left_the_catalogue_no_longer_count(told, make_song, alice, offered):
    told(alice, make_song("Gone"), "choose")
    told(alice, make_song("Still here"), "choose", minutes=1)
    Song.objects.filter(title="Gone").update(status="retired")
    assert titles(alice) == (["Still here"], [])
    assert [song for song, _ in taste_events(user=alice)] == [Song.objects.get(title="Still here").pk]


def test_turned_off_it_is_shown_but_does_not_count(told, make_song, alice, offered):
    told(alice, make_song("Chosen"), "choose")
    set_enabled(user=alice, enabled=False)
    assert taste_events(user=alice) == []
    assert titles(alice) == (["Chosen"], [])
    set_enabled(user=alice, enabled=True)
    assert len(taste_events(user=alice)) == 1


def test_after_a_reset_earlier_events_do_not_count(told, make_song, alice, offered):
    told(alice, make_song("Before"), "choose")
    reset(user=alice)
    assert taste_events(user=alice) == []
    told(alice, make_song("After"), "choose")
    assert titles(alice) == (["After"], [])


def test_the_taste_of_a_person_holds_their_own_choices_alone(told, make_song, alice, bob, offered):
    offer_taste(user=bob)
    Taste.objects.update(since=timezone.now() - timedelta(days=1))
    told(bob, make_song("Of Bob"), "choose")
    told(bob, make_song("Not of Bob"), "skip")
    told(None, make_song("Of nobody any more"), "choose")
    assert titles(alice) == ([], [])
    assert taste_events(user=alice) == []
    told(alice, make_song("Of Alice"), "choose")
    assert titles(bob) == (["Of Bob"], ["Not of Bob"])
    reset(user=bob)
    set_enabled(user=bob, enabled=False)
    assert titles(alice) == (["Of Alice"], [])
