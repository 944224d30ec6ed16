"""Reads that clients repeat: ETag and 304, and waiting with Prefer."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from socialsongs.models import Feedback, Post, State, Worker

URL = "/api/v1/posts"


@pytest.fixture
def api(api_of, alice):
    return api_of(alice)


@pytest.fixture
def addresses(ready_post):
    request, song = ready_post.requests.get(), ready_post.requests.get().suggestions.first().song_id
    return [
        URL, f"{URL}/{ready_post.pk}", f"{URL}/{ready_post.pk}/recommendations/{request.pk}", "/api/v1/songs",
        "/api/v1/songs?q=song", f"/api/v1/songs/{song}", f"/api/v1/songs/{song}/similar", f"/api/v1/songs/{song}/posts",
        "/api/v1/taste",
    ]  # fmt: skip


def test_every_read_is_conditional(api, addresses):
    for url in addresses:
        first = api.get(url)
        assert (first.status_code, first["Cache-Control"]) == (200, "private, no-cache"), url
        again = api.get(url, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b""), url
        assert (again["ETag"], again["Cache-Control"]) == (first["ETag"], "private, no-cache"), url
        assert "Content-Type" not in again


@pytest.mark.parametrize(
    ("known", "status"), [('"other", W/{}', 304), ("*", 304), ('"other"', 200), ("other", 200), ("W/", 200), ("", 200)]
)
def test_what_the_client_has_is_compared_weakly(api, ready_post, known, status):
    url = f"{URL}/{ready_post.pk}"
    tag = api.get(url)["ETag"]
    assert api.get(url, headers={"If-None-Match": known.format(tag)}).status_code == status
    head = api.head(url)
    assert (head["ETag"], head.content) == (tag, b"")


def test_the_tag_changes_with_the_answer(api, ready_post):
    url = f"{URL}/{ready_post.pk}"
    seen = {api.get(url)["ETag"]}
    song = ready_post.requests.get().suggestions.first().song
    for change in (
        lambda: Feedback.objects.create(
            request=ready_post.requests.get(), song=song, user=ready_post.owner, kind="hide", rank=1, propensity=1,
            release=ready_post.requests.get().release,
        ),
        lambda: ready_post.requests.get().suggestions.last().song.delete(),
        lambda: Post.objects.update(caption="Another"),
        lambda: Post.objects.update(state=State.FAILED, reason="photo_missing"),
    ):  # fmt: skip
        change()
        answer = api.get(url, headers={"If-None-Match": ", ".join(seen)})
        assert answer.status_code == 200
        seen.add(answer["ETag"])
    assert len(seen) == 5


def test_a_304_still_says_when_to_ask_again(api, upload):
    url = api.post(URL, {"photos": upload()})["Location"]
    again = api.get(url, headers={"If-None-Match": api.get(url)["ETag"]})
    assert (again.status_code, again["Retry-After"]) == (304, "1")


def test_errors_and_writes_are_kept_by_no_cache(api, upload):
    for answer in (api.get(f"{URL}/nothing"), api.get(f"{URL}?cursor=x"), api.post(URL, {"photos": upload()})):
        assert answer["Cache-Control"] == "no-store"
        assert "ETag" not in answer


def test_other_people_are_not_told_that_nothing_changed(api, api_of, bob, ready_post):
    url = f"{URL}/{ready_post.pk}"
    known = {"If-None-Match": api.get(url)["ETag"]}
    assert api_of(bob).get(url, headers=known).status_code == 404
    Post.objects.update(visibility="public")
    assert api_of(bob).get(url, headers=known).status_code == 200


class TestWait:
    @pytest.fixture
    def worker(self, release):
        soon = timezone.now() + timedelta(hours=1)
        return Worker.objects.create(name="one@here", host="here", pid=1, state="ready", started_at=soon, seen_at=soon)

    def test_it_does_not_wait_unless_asked(self, api, upload, worker):
        url = api.post(URL, {"photos": upload()})["Location"]
        began = time.monotonic()
        assert "Preference-Applied" not in api.get(url)
        assert time.monotonic() - began < 0.9

    def test_it_waits_no_longer_than_asked_or_allowed(self, api, upload, worker, settings):
        url = api.post(URL, {"photos": upload()})["Location"]
        began = time.monotonic()
        answer = api.get(url, headers={"Prefer": "wait=1"})
        assert 1.0 <= time.monotonic() - began < 2.5
        assert (answer["Preference-Applied"], answer["Retry-After"]) == ("wait=1", "1")
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "ANSWER_SECONDS": 0.2}
        began = time.monotonic()
        api.get(url, headers={"Prefer": "wait=600"})
        assert time.monotonic() - began < 1.5

    def test_without_a_worker_it_does_not_wait(self, api, upload):
        url = api.post(URL, {"photos": upload()})["Location"]
        answer = api.get(url, headers={"Prefer": "wait=3"})
        assert "Preference-Applied" not in answer
        assert answer.json()["state"] == "queued"

    def test_what_is_finished_is_answered_at_once(self, api, ready_post, worker):
        for url in (f"{URL}/{ready_post.pk}", f"{URL}/{ready_post.pk}/recommendations/{ready_post.requests.get().pk}"):
            began = time.monotonic()
            assert api.get(url, headers={"Prefer": "wait=3"})["Preference-Applied"] == "wait=3"
            assert time.monotonic() - began < 1.5

    def test_not_to_wait_is_applied_too(self, api, ready_post, worker):
        answer = api.get(f"{URL}/{ready_post.pk}", headers={"Prefer": "respond-async"})
        assert answer["Preference-Applied"] == "respond-async"

    @pytest.mark.django_db(transaction=True)
    def test_it_is_answered_as_soon_as_the_post_is_ready(self, api, ready_post, worker):
        Post.objects.update(state=State.QUEUED)

        def analyse():
            time.sleep(0.4)
            Post.objects.update(state=State.READY)
            connection.close()

        thread = threading.Thread(target=analyse)
        thread.start()
        began = time.monotonic()
        answer = api.get(f"{URL}/{ready_post.pk}", headers={"Prefer": "wait=3"})
        thread.join()
        assert (answer.json()["state"], len(answer.json()["suggestions"])) == ("ready", 3)
        assert time.monotonic() - began < 2.5
