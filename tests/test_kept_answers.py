"""An answer about a post that was given before is given again only while nothing that it shows has changed."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from socialsongs.api import kept_answers
from socialsongs.models import Feedback, PhotoAnalysis, Post, PostAccess, Song, State, Suggestion
from socialsongs.policy import Policy

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept():
    kept_answers._answers.clear()


@pytest.fixture
def read(ready_post, alice, api_of):
    """Return a function that reads the post as alice; the first answer, which records impressions, is not kept."""

    def make():
        return api_of(alice).get(f"/api/v1/posts/{ready_post.pk}").json()

    make()
    make()
    assert len(kept_answers._answers) == 1
    return make


class OfOpenPeople(Policy):
    """A policy that reads another row than the post's."""

    def may_view(self, *, user, post):
        return super().may_view(user=user, post=post) or post.owner.first_name == "open"


def test_a_policy_sees_each_time_what_it_reads(read, ready_post, alice, bob, api_of, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "POLICY": f"{__name__}.OfOpenPeople"}
    for name, status in [("open", 200), ("open", 200), ("closed", 404), ("open", 200)]:
        type(alice).objects.update(first_name=name)
        assert api_of(bob).get(f"/api/v1/posts/{ready_post.pk}").status_code == status


CHANGES = {
    "caption": lambda post: Post.objects.update(caption="New"),
    "state": lambda post: Post.objects.update(state=State.QUEUED),
    "song": lambda post: Song.objects.filter(title="Song 1").update(title="Other"),
    "published": lambda post: Song.objects.filter(title="Song 2").update(status="retired"),
    "suggestion": lambda post: Suggestion.objects.filter(rank=1).delete(),
    "score": lambda post: Suggestion.objects.filter(rank=1).update(score=0.25),
    "tags": lambda post: PhotoAnalysis.objects.update(tags=[]),
    "analysis": lambda post: PhotoAnalysis.objects.all().delete(),
    "photo": lambda post: post.photos.update(width=7),
    "chosen": lambda post: Post.objects.update(chosen_song=Song.objects.get(title="Song 3")),
    "confident": lambda post: post.requests.update(confident=False),
    "hidden": lambda post: Feedback.objects.create(
        request=post.requests.get(), song=Song.objects.get(title="Song 1"), kind="hide", rank=1, propensity=1.0,
        release=post.requests.get().release, user=post.owner,
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_what_is_shown_is_seen_at_once(read, ready_post, change):
    before = read()
    CHANGES[change](ready_post)
    after = read()
    assert after != before
    if change == "chosen":
        Song.objects.filter(title="Song 3").update(artist="Somebody else")
        assert read()["chosen_song"]["artist"] == "Somebody else"
    if change == "hidden":
        Feedback.objects.filter(kind="hide").delete()
        assert read() == before


def test_a_deleted_post_is_gone(read, ready_post, alice, api_of):
    url = f"/api/v1/posts/{ready_post.pk}"
    Post.objects.all().delete()
    assert api_of(alice).get(url).status_code == 404


def test_two_changes_within_one_transaction_are_two(read):
    Post.objects.update(caption="One")
    assert (read(), read())[1]["caption"] == "One"
    Post.objects.update(caption="Two")
    assert read()["caption"] == "Two"


def test_an_answer_takes_one_query_beside_the_login(read, ready_post, alice, api_of):
    with CaptureQueriesContext(connection) as queries:
        read()
    assert len(queries) == 2


def test_rights_are_checked_each_time(read, ready_post, bob, staff, api_of):
    url = f"/api/v1/posts/{ready_post.pk}"
    assert api_of(bob).get(url).status_code == 404
    assert len(api_of(staff).get(url).json()["suggestions"]) == 3
    PostAccess.objects.all().delete()
    assert len(api_of(staff).get(url).json()["suggestions"]) == 3
    assert PostAccess.objects.get().door == "api"
    Post.objects.update(visibility="public")
    for _ in range(2):
        assert api_of(bob).get(url).json()["suggestions"] is None
    assert len(read()["suggestions"]) == 3
    Post.objects.update(visibility="private")
    assert api_of(bob).get(url).status_code == 404


def test_language_and_address_have_answers_of_their_own(read, ready_post, alice, api_of):
    Post.objects.update(state=State.FAILED, reason="photo_unreadable")
    url = f"/api/v1/posts/{ready_post.pk}"
    for _ in range(2):
        english = api_of(alice).get(url).json()
        german = api_of(alice).get(url, headers={"Accept-Language": "de"}).json()
        secure = api_of(alice).get(url, secure=True).json()
        assert english["failure"]["code"] == german["failure"]["code"]
        assert english["failure"]["detail"] != german["failure"]["detail"]
        assert (english["url"][:5], secure["url"][:6]) == ("http:", "https:")


def test_what_waits_is_not_kept(read, ready_post, alice, api_of):
    Post.objects.update(state=State.QUEUED)
    for _ in range(2):
        assert "Retry-After" in api_of(alice).get(f"/api/v1/posts/{ready_post.pk}")


def test_memory_is_bounded(read, ready_post, alice, api_of, monkeypatch):
    kept_answers._answers.clear()
    monkeypatch.setattr(kept_answers._answers, "_Cache__maxsize", 10)
    assert read() == read()
    assert len(kept_answers._answers) == 0
