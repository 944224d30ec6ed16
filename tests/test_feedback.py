"""Feedback on suggestions: recorded for the right list, and counted once."""

import pytest
from django.utils import timezone

from socialsongs.errors import NotSuggested, UnknownPost
from socialsongs.models import Feedback, Post, RecommendationRequest, Song, Suggestion
from socialsongs.selectors.posts import suggestions_of
from socialsongs.services.feedback import choose_song, record_feedback, record_impressions

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(ready_post):
    Suggestion.objects.filter(rank=2).update(propensity=0.25)
    return ready_post.requests.get()


@pytest.fixture
def steered(ready_post, release):
    """Make a second list for the post, with the third song of the first list and a song of its own."""
    request = RecommendationRequest.objects.create(post=ready_post, text="upbeat", state="ready", release=release)
    for rank, song in enumerate([Song.objects.get(title="Song 3"), Song.objects.get(title="Song 1")], start=1):
        Suggestion.objects.create(request=request, song=song, release=release, rank=rank, score=1.0)
    return request


def impressions():
    rows = Feedback.objects.filter(kind="impression").order_by("rank")
    return list(rows.values_list("song__title", "rank", "propensity", "release__name", "user__username"))


def seen(request, user):
    return record_impressions(request=request, shown=suggestions_of(request=request), user=user)


def test_shown_songs_are_noted_with_rank_propensity_and_release(asked, alice):
    assert seen(asked, alice) == 3
    assert impressions() == [
        ("Song 1", 1, 1.0, "written-down", "alice"),
        ("Song 2", 2, 0.25, "written-down", "alice"),
        ("Song 3", 3, 1.0, "written-down", "alice"),
    ]
    assert RecommendationRequest.objects.get().shown_at is not None


def test_reading_a_list_again_records_nothing_more(asked, alice, django_assert_num_queries):
    seen(asked, alice)
    assert seen(asked, alice) == 0  # by a row that was loaded before
    fresh = RecommendationRequest.objects.get()
    with django_assert_num_queries(0):
        assert record_impressions(request=fresh, shown=[], user=alice) == 0
    assert len(impressions()) == 3


def test_a_new_answer_is_noted_as_well(asked, alice, make_song, release):
    seen(asked, alice)
    Suggestion.objects.filter(rank=1).update(song=make_song("New"))
    RecommendationRequest.objects.update(shown_at=None)
    seen(RecommendationRequest.objects.get(), alice)
    assert sorted(title for title, *_ in impressions()) == ["New", "Song 1", "Song 2", "Song 3"]


def test_songs_that_are_not_shown_are_not_noted(asked, ready_post, alice):
    record_feedback(post=ready_post, user=alice, song_id=asked.suggestions.get(rank=1).song_id, kind="hide")
    Song.objects.filter(title="Song 2").update(status="retired")
    assert seen(asked, alice) == 1
    assert [title for title, *_ in impressions()] == ["Song 3"]


def test_a_request_that_was_deleted_meanwhile_notes_nothing(asked, alice):
    RecommendationRequest.objects.all().delete()
    assert seen(asked, alice) == 0
    assert not Feedback.objects.exists()


@pytest.mark.parametrize("kind", ["play", "skip", "hide"])
def test_feedback_that_is_sent_twice_counts_once(ready_post, alice, kind):
    song = Suggestion.objects.get(rank=1).song_id
    assert record_feedback(post=ready_post, user=alice, song_id=song, kind=kind)
    assert not record_feedback(post=ready_post, user=alice, song_id=song, kind=kind)
    assert Feedback.objects.get().rank == 1


def test_choosing_twice_counts_once(ready_post, alice):
    song = Suggestion.objects.get(rank=2).song_id
    for _ in range(2):
        choose_song(post=ready_post, user=alice, song_id=song)
    assert (Feedback.objects.get().kind, Feedback.objects.get().rank) == ("choose", 2)


def test_feedback_counts_for_the_list_in_which_it_was_given(ready_post, asked, steered, alice):
    song = Song.objects.get(title="Song 3").pk  # third in the first list, first in the steered one
    choose_song(post=ready_post, user=alice, song_id=song, request=asked)
    record_feedback(post=ready_post, user=alice, song_id=song, kind="play", request=steered)
    record_feedback(post=ready_post, user=alice, song_id=song, kind="skip")  # the newest list
    rows = Feedback.objects.values_list("kind", "request", "rank")
    assert set(rows) == {("choose", asked.pk, 3), ("play", steered.pk, 1), ("skip", steered.pk, 1)}


def test_a_list_that_was_shown_comes_before_newer_ones(ready_post, asked, steered, alice):
    song = Song.objects.get(title="Song 3").pk
    seen(asked, alice)
    record_feedback(post=ready_post, user=alice, song_id=song, kind="play")
    choose_song(post=ready_post, user=alice, song_id=song)
    seen(steered, alice)
    record_feedback(post=ready_post, user=alice, song_id=song, kind="skip")
    rows = Feedback.objects.exclude(kind="impression").values_list("kind", "request")
    assert set(rows) == {("play", asked.pk), ("choose", asked.pk), ("skip", steered.pk)}


def test_what_was_done_last_is_the_last_even_when_it_was_done_before(ready_post, alice):
    first, second = (Suggestion.objects.get(rank=rank).song_id for rank in (1, 2))
    for song in (first, second, first):
        choose_song(post=ready_post, user=alice, song_id=song)
    rows = Feedback.objects.filter(kind="choose").order_by("-created_at")
    assert [row.song_id for row in rows] == [first, second]


def test_an_answer_that_was_replaced_while_it_was_shown_is_noted_when_it_is_shown(asked, alice, make_song):
    shown = list(suggestions_of(request=asked))
    RecommendationRequest.objects.update(finished_at=timezone.now())
    Suggestion.objects.filter(rank=1).update(song=make_song("New"))
    assert record_impressions(request=asked, shown=shown, user=alice) == 0
    assert seen(RecommendationRequest.objects.get(), alice) == 3
    assert [title for title, *_ in impressions()] == ["New", "Song 2", "Song 3"]


def test_nothing_can_be_noted_for_a_post_that_is_gone(ready_post, alice):
    song = Suggestion.objects.get(rank=1).song_id
    Post.objects.get().delete()
    with pytest.raises(UnknownPost):
        record_feedback(post=ready_post, user=alice, song_id=song, kind="play")
    with pytest.raises(UnknownPost):
        choose_song(post=ready_post, user=alice, song_id=song)


def test_a_song_of_another_list_is_refused(ready_post, steered, alice):
    with pytest.raises(NotSuggested):
        record_feedback(
            post=ready_post, user=alice, song_id=Song.objects.get(title="Song 2").pk, kind="play", request=steered
        )
