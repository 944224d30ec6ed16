"""Posts are answered anew by another release in the bulk lane, and keep their choices."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from socialsongs.models import Feedback, Post, RecommendationRequest, Song, SongEmbedding, State, Suggestion
from socialsongs.services.feedback import choose_song
from socialsongs.services.posts import create_post
from socialsongs.services.queue import rerank
from socialsongs.services.releases import activate, pause
from workers.lanes.drain import Loop

from .releases import registered

pytestmark = pytest.mark.django_db


@pytest.fixture
def releases_folder(tmp_path, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "two")}
    return tmp_path / "two"


@pytest.fixture
def rows(releases_folder):
    return {release.name: release for release in registered(releases_folder, "before", "after")}


def work_off():
    loop = Loop()
    while loop._interactive() or loop._bulk():
        pass


@pytest.fixture
def posts(rows, alice, upload, make_song):
    """Make posts of today, ten days ago and a month ago, answered by the former release."""
    for number in range(3):
        make_song(f"Song {number}")
    work_off()
    made = [create_post(owner=alice, uploads=[upload()])[0] for _ in range(3)]
    for post, days in zip(made, (0, 10, 30), strict=True):
        Post.objects.filter(pk=post.pk).update(created_at=timezone.now() - timedelta(days=days))
    work_off()
    activate(release=rows["after"])
    return made


def answered_by(post):
    names = set(Suggestion.objects.filter(request__post=post).values_list("release__name", "request__release__name"))
    assert len(names) == 1  # never two mixed
    return names.pop()


def test_it_takes_the_posts_of_an_age_and_their_choices_stay(posts, rows, capsys):
    today, ten_days, month = posts
    chosen = Suggestion.objects.filter(request__post=ten_days).select_related("song").last().song
    choose_song(post=ten_days, song_id=chosen.pk, user=ten_days.owner)
    told = Feedback.objects.values_list("pk", "song", "rank", "kind").order_by("pk")
    before = list(told)
    call_command("releases", "rerank", "--newer", "20", "--older", "5")
    assert "1 posts are queued to be answered again" in capsys.readouterr().out
    waiting = RecommendationRequest.objects.get(state=State.QUEUED)
    assert (waiting.post_id, waiting.bulk) == (ten_days.pk, True)
    assert answered_by(ten_days) == ("before", "before")  # shown until the new ones are there
    assert not Loop()._interactive()  # nobody waits for the answer
    work_off()
    assert answered_by(ten_days) == ("after", "after")
    assert answered_by(today) == answered_by(month) == ("before", "before")
    ten_days.refresh_from_db()
    assert (ten_days.state, ten_days.chosen_song) == (State.READY, chosen)
    assert list(told) == before


def test_posts_that_the_active_release_answered_are_left_alone(posts):
    assert rerank() == 3
    work_off()
    assert rerank() == 0


def test_a_release_that_reads_no_songs_for_now_answers_all_the_same(posts, rows):
    pause(release=rows["after"], paused=True)
    rerank()
    work_off()
    assert {answered_by(post) for post in posts} == {("after", "after")}


def test_a_song_list_that_makes_no_sense_fails_its_request_alone(posts, rows):
    odd = RecommendationRequest.objects.create(text="the sea", parameters={"exclude": ["x"]})
    good = RecommendationRequest.objects.create(text="the sea")
    work_off()
    odd.refresh_from_db()
    good.refresh_from_db()
    assert (odd.state, odd.attempts, good.state) == (State.QUEUED, 1, State.READY)


def test_a_photo_that_is_gone_leaves_its_post_as_it_was(posts):
    photo = posts[0].photos.get()
    photo.image.storage.delete(photo.image.name)
    rerank()
    work_off()
    request = RecommendationRequest.objects.get(state=State.FAILED)
    assert (request.post_id, request.reason) == (posts[0].pk, "photo_missing")
    posts[0].refresh_from_db()
    assert posts[0].state == State.READY
    assert answered_by(posts[0])[0] == "before"


def test_a_song_edited_while_a_release_is_staged_is_read_for_both(rows, make_song):
    song = make_song()
    work_off()
    song.lyrics = "Gulls over the harbour\nuntil the morning"
    song.save()
    from socialsongs.services.catalogue import sync_embeddings

    sync_embeddings(songs=Song.objects.filter(pk=song.pk))
    work_off()
    found = SongEmbedding.objects.filter(song=song)
    assert {(row.release.name, row.state, tuple(row.line_offsets)) for row in found} == {
        ("before", State.READY, (0, 1)),
        ("after", State.READY, (0, 1)),
    }
