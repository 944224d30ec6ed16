"""Requests for other songs for a post: POST and GET /api/v1/posts/{id}/recommendations."""

import json
import threading
import time
import uuid

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from socialsongs.api import feedback, recommendations
from socialsongs.broker import INTERACTIVE, KEY_PREFIX, queue_name
from socialsongs.models import Feedback, Post, RecommendationRequest, State, Suggestion, Worker
from socialsongs.services import waiting
from socialsongs.services.posts import create_post, delete_post

from .test_api_posts import problem

pytestmark = pytest.mark.django_db
AT_ONCE = {"Prefer": "respond-async"}


def url_of(post):
    return f"/api/v1/posts/{post.pk}/recommendations"


def ask(api, post, body=None, **headers):
    return send(api, post, json.dumps(body or {}), **headers)


def send(api, post, body, **headers):
    return api.post(url_of(post), body, content_type="application/json", headers=headers or AT_ONCE)


def finish(request, release, songs, **values):
    """Answer a request as a worker does."""
    for rank, song in enumerate(songs, start=1):
        Suggestion.objects.create(request=request, song=song, release=release, rank=rank, score=0.5, reasons=[])
    values = {"state": State.READY, "release": release, "finished_at": timezone.now(), **values}
    RecommendationRequest.objects.filter(pk=request.pk).update(**values)


class TestRequestRecommendations:
    def test_it_queues_a_request_that_says_what_differs_from_the_defaults(self, api_of, alice, ready_post, settings):
        song = str(uuid.uuid4())
        body = {
            "limit": 5,
            "exclude": [song, song],
            "market": "de",
            "language": "PT-br",
            "explicit": True,
            "genre": "folk",
            "text": "upbeat, no heartbreak",
        }
        response = ask(api_of(alice), ready_post, body)
        assert response.status_code == 202
        asked = RecommendationRequest.objects.get(is_default=False)
        assert (asked.state, asked.bulk, asked.post, asked.text) == (State.QUEUED, False, ready_post, body["text"])
        assert asked.parameters == {
            "limit": 5,
            "exclude": [song],
            "market": "DE",
            "language": "pt-BR",
            "explicit": True,
            "genre": "folk",
        }
        assert response["Location"] == f"http://testserver{url_of(ready_post)}/{asked.pk}"
        assert response["Retry-After"] == "1"
        answer = response.json()
        assert answer["parameters"] == {**asked.parameters, "text": body["text"]}
        assert (answer["id"], answer["url"], answer["state"]) == (str(asked.pk), response["Location"], "queued")
        assert [answer[key] for key in ("failure", "confident", "notice", "suggestions")] == [None] * 4

    def test_without_a_body_everything_is_as_the_site_has_set(self, api_of, alice, ready_post, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "SUGGESTIONS": 7, "MARKET": "NL"}
        response = api_of(alice).post(url_of(ready_post), headers=AT_ONCE)
        assert response.status_code == 202
        assert response.json()["parameters"] == {
            "limit": 7,
            "exclude": [],
            "market": "NL",
            "language": None,
            "explicit": False,
            "genre": None,
            "text": "",
        }
        assert RecommendationRequest.objects.get(is_default=False).parameters == {}

    def test_the_parameters_of_an_answer_can_be_sent_again(self, api_of, alice, ready_post):
        first = ask(api_of(alice), ready_post, {"genre": "folk", "limit": 3}).json()["parameters"]
        assert ask(api_of(alice), ready_post, first).json()["parameters"] == first

    def test_a_request_wakes_a_worker(self, api_of, alice, ready_post, django_capture_on_commit_callbacks):
        import redis
        from django.conf import settings

        with django_capture_on_commit_callbacks(execute=True):
            ask(api_of(alice), ready_post)
        assert redis.from_url(settings.REDIS_URL).llen(KEY_PREFIX + queue_name(INTERACTIVE)) == 1

    def test_others_and_staff_cannot_request_songs_for_a_post(self, api_of, bob, staff, ready_post):
        Post.objects.update(visibility="public")
        for user in (bob, staff):
            problem(ask(api_of(user), ready_post), 404, "not_found")
        problem(ask(api_of(None), ready_post), 401, "not_authenticated")

    def test_a_failed_post_is_to_be_retried_first(self, api_of, alice, ready_post):
        Post.objects.update(state=State.FAILED, reason="photo_unreadable")
        assert "Retry" in problem(ask(api_of(alice), ready_post), 409, "post_failed")["detail"]
        assert not RecommendationRequest.objects.filter(is_default=False).exists()

    def test_a_request_waits_for_its_post_and_fails_with_it(self, api_of, alice, upload):
        post, _ = create_post(owner=alice, uploads=[upload()])
        api = api_of(alice)
        waiting = ask(api, post)
        assert (waiting.status_code, waiting.json()["state"]) == (202, "queued")
        Post.objects.update(state=State.FAILED, reason="photo_missing")
        failed = api.get(waiting["Location"])
        assert "Retry-After" not in failed
        assert (failed.json()["state"], failed.json()["failure"]["code"]) == ("failed", "photo_missing")
        api.post(f"/api/v1/posts/{post.pk}/retry")
        assert api.get(waiting["Location"]).json()["state"] == "queued"

    def test_it_is_throttled(self, api_of, alice, ready_post, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "REQUEST_RATE": "1/hour"}
        assert ask(api_of(alice), ready_post).status_code == 202
        problem(ask(api_of(alice), ready_post), 429, "throttled")


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # halves of surrogate pairs, too
IDS = [str(uuid.UUID(int=number)) for number in range(10_000)]
WRONG = [
    *[("limit", value) for value in (0, -1, 51, 10_000, 10**400, 1.5, "ten", True, None, [5], {})],
    *[
        ("exclude", value)
        for value in (IDS, IDS[:1001], ["x"], [None], [[IDS[0]]], [{}], IDS[0], [5], {"a": 1}, 5, None)
    ],
    *[("market", value) for value in ("", "D", "JJJ", "D1", "ÄÖ", "D\0", "DE\nDE", 5, True, ["DE"], {})],
    *[("language", value) for value in ("", "e", "xx", "en-", "e\0n", "ה" * 2, "en-" + "x" * 40, 5, ["en"], {})],
    *[("explicit", value) for value in ("perhaps", None, 2, [], {})],
    *[("genre", value) for value in ("", "x" * 61, "fo\0lk", "fo\ud800lk", True, ["folk"], {})],
    *[("text", value) for value in ("x" * 501, "x" * 10_000, "🌊🔥❤️", "?!", "sun\0", "sun \ud83d", True, None, [], {})],
    ("limits", 5),
    ("", 5),
    ("bulk", True),
]


class TestBadParameters:
    @pytest.fixture
    def post(self, alice):
        return Post.objects.create(owner=alice, state=State.READY)

    @pytest.mark.parametrize(("key", "value"), WRONG, ids=[f"{key}: {str(value)[:20]!r}" for key, value in WRONG])
    def test_what_is_wrong_is_named(self, api_of, alice, post, key, value):
        response = ask(api_of(alice), post, {"genre": "folk", key: value})
        body = problem(response, 400, "invalid")
        assert list(body["errors"]) == [key]
        assert body["detail"].startswith(f"{key}: ")
        assert len(response.content) < 1000
        assert not RecommendationRequest.objects.filter(is_default=False).exists()

    @pytest.mark.parametrize("body", ["[]", "5", '"folk"', "null", "[[]]", "true"])
    def test_a_body_that_is_no_object_is_refused(self, api_of, alice, post, body):
        problem(send(api_of(alice), post, body), 400, "invalid")

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"genre=folk",
            b"\xff\xfe",
            b'{"limit": NaN}',
            b"\0",
            b"[" * 100_000,
            b'{"limit": ' + b"9" * 5000 + b"}",
        ],
        ids=["cut", "a form", "not UTF-8", "NaN", "a null byte", "deep", "a long number"],
    )
    def test_a_body_that_is_no_json_is_refused(self, api_of, alice, post, body):
        problem(send(api_of(alice), post, body), 400, "parse_error")

    def test_a_number_without_bound_is_refused(self, api_of, alice, post):
        assert "limit" in problem(send(api_of(alice), post, '{"limit": 1e400}'), 400, "invalid")["errors"]

    def test_a_key_that_is_no_text_can_be_named(self, api_of, alice, post):
        assert "?" in problem(send(api_of(alice), post, r'{"\ud800": 1}'), 400, "invalid")["errors"]

    def test_other_media_types_are_refused(self, api_of, alice, post):
        response = api_of(alice).post(url_of(post), {"genre": "folk"}, headers=AT_ONCE)
        problem(response, 415, "unsupported_media_type")

    @pytest.mark.parametrize("body", [{"market": "aq"}, {"language": "tlh-Latn"}, {"genre": "🎷"}, {"text": "שלום 5"}])
    def test_values_that_no_song_has_are_accepted(self, api_of, alice, post, body):
        assert ask(api_of(alice), post, body).status_code == 202

    @hypothesis_settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
    )
    @given(
        body=st.dictionaries(
            st.sampled_from(["limit", "exclude", "market", "language", "explicit", "genre", "text"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                max_leaves=5,
            ),
        )
    )
    def test_nothing_that_is_json_is_a_server_error(self, api_of, alice, post, settings, body):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "REQUEST_RATE": "1000/s"}
        response = ask(api_of(alice), post, body)
        if response.status_code != 202:
            assert set(problem(response, 400, "invalid")["errors"]) <= set(body)


class TestReadRecommendations:
    @pytest.fixture
    def answered(self, ready_post, release, make_song):
        asked = RecommendationRequest.objects.create(post=ready_post, text="calm")
        finish(asked, release, [make_song("Calm"), make_song("Calmer")], confident=False, notice="fewer_songs")
        return asked

    def test_it_works(self, api_of, alice, ready_post, answered):
        Suggestion.objects.filter(request=answered, rank=1).update(
            origin="pin", reasons=[{"tag": "Summer campaign", "kind": "pin", "weight": 1.0}]
        )
        response = api_of(alice).get(f"{url_of(ready_post)}/{answered.pk}")
        assert "Retry-After" not in response
        body = response.json()
        assert (body["state"], body["confident"], body["parameters"]["text"]) == ("ready", False, "calm")
        assert body["notice"]["code"] == "fewer_songs"
        assert "leave out the genre" in body["notice"]["detail"]
        assert [entry["song"]["title"] for entry in body["suggestions"]] == ["Calm", "Calmer"]
        assert [entry["origin"] for entry in body["suggestions"]] == ["pin", "match"]
        assert body["suggestions"][0]["reasons"][0]["kind"] == "pin"

    def test_a_failed_request_says_why(self, api_of, alice, ready_post, answered):
        RecommendationRequest.objects.filter(pk=answered.pk).update(state=State.FAILED, reason="text_empty")
        body = api_of(alice).get(f"{url_of(ready_post)}/{answered.pk}").json()
        assert (body["state"], body["failure"]["code"], body["suggestions"]) == ("failed", "text_empty", None)
        assert "words" in body["failure"]["detail"]

    def test_staff_see_it_and_others_do_not(self, api_of, bob, staff, ready_post, answered):
        Post.objects.update(visibility="public")
        url = f"{url_of(ready_post)}/{answered.pk}"
        assert api_of(staff).get(url).status_code == 200
        problem(api_of(bob).get(url), 404, "not_found")
        problem(api_of(None).get(url), 401, "not_authenticated")

    def test_a_request_of_another_post_is_not_found(self, api_of, alice, answered, upload):
        other, _ = create_post(owner=alice, uploads=[upload()])
        problem(api_of(alice).get(f"{url_of(other)}/{answered.pk}"), 404, "not_found")
        problem(api_of(alice).get(f"{url_of(other)}/{uuid.uuid4()}"), 404, "not_found")

    def test_reading_as_the_owner_records_impressions_once(self, api_of, alice, staff, ready_post, answered):
        url = f"{url_of(ready_post)}/{answered.pk}"
        api_of(staff).get(url)
        assert not Feedback.objects.exists()
        for _ in range(2):
            api_of(alice).get(url)
        shown = Feedback.objects.filter(kind="impression", user=alice).values_list("request", "song__title", "rank")
        assert sorted(shown) == [(answered.pk, "Calm", 1), (answered.pk, "Calmer", 2)]

    def test_its_songs_take_choices_and_feedback(self, api_of, alice, ready_post, answered):
        song = str(answered.suggestions.get(rank=2).song_id)
        post = f"/api/v1/posts/{ready_post.pk}"
        assert api_of(alice).post(f"{post}/choice", {"song": song}, format="json").status_code == 200
        events = {"events": [{"song": song, "kind": "play"}]}
        assert api_of(alice).post(f"{post}/feedback", events, format="json").json()["recorded"] == 1
        told = Feedback.objects.filter(request=answered, song=song).values_list("kind", "rank")
        assert {("choose", 2), ("play", 2)} <= set(told)

    def test_a_song_that_is_hidden_leaves_every_list_of_the_post(self, api_of, alice, ready_post, answered, release):
        both = ready_post.requests.get(is_default=True).suggestions.get(rank=1).song
        Suggestion.objects.create(request=answered, song=both, release=release, rank=3, score=0.1)
        api, post = api_of(alice), f"/api/v1/posts/{ready_post.pk}"
        api.post(f"{post}/feedback", {"events": [{"song": str(both.pk), "kind": "hide"}]}, format="json")
        for url in (post, f"{url_of(ready_post)}/{answered.pk}"):
            assert both.title not in [entry["song"]["title"] for entry in api.get(url).json()["suggestions"]]


@pytest.mark.django_db(transaction=True)
class TestWaitForRecommendations:
    """A thread stands for the worker, with a connection of its own."""

    @pytest.fixture
    def while_it_waits(self, ready_post):
        """Return a function that starts another with the new request, as soon as a second connection sees it."""
        threads, failures = [], []

        def work(function):
            try:
                give_up = time.monotonic() + 20
                while not (asked := RecommendationRequest.objects.filter(is_default=False).first()):
                    assert time.monotonic() < give_up, "no request was committed"
                    time.sleep(0.01)
                function(asked)
            except BaseException as error:
                failures.append(error)
                raise
            finally:
                connection.close()

        def start(function):
            threads.append(threading.Thread(target=work, args=[function]))
            threads[-1].start()

        yield start
        for thread in threads:
            thread.join()
        assert not failures

    @pytest.fixture(autouse=True)
    def _patient(self, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "ANSWER_SECONDS": 20.0, "HEARTBEAT_SECONDS": 600}
        now = timezone.now()
        Worker.objects.create(name="one@here", host="here", pid=1, state="ready", started_at=now, seen_at=now)

    @pytest.fixture
    def never_sleeps(self, monkeypatch):
        monkeypatch.setattr(waiting, "time", None)

    def test_without_a_worker_nobody_waits(self, api_of, alice, ready_post, never_sleeps):
        Worker.objects.update(state="refusing")
        assert ask(api_of(alice), ready_post, Prefer="").status_code == 202

    def test_a_person_waits_in_one_request_at_a_time(
        self, api_of, alice, bob, ready_post, release, while_it_waits, upload
    ):
        answers = []

        def ask_beside(asked):
            answers.append(ask(api_of(alice), ready_post, Prefer=""))
            finish(asked, release, [])

        while_it_waits(ask_beside)
        assert ask(api_of(alice), ready_post, Prefer="").status_code == 200
        assert [response.status_code for response in answers] == [202]
        RecommendationRequest.objects.filter(is_default=False).delete()
        while_it_waits(lambda asked: finish(asked, release, []))
        assert ask(api_of(alice), ready_post, Prefer="").status_code == 200  # and the next one waits again

    @pytest.mark.parametrize(
        "prefer",
        [
            "",
            "wait=15",
            "respond-async, wait=15",
            'handling=lenient, Wait = "15"; x=y',
            "wait=x",
            "wait=0e9",
            "wait=0s",
        ],
    )
    def test_an_answer_in_time_comes_with_the_response(
        self, api_of, alice, ready_post, release, make_song, while_it_waits, prefer
    ):
        song = make_song("In time")
        while_it_waits(lambda asked: finish(asked, release, [song], confident=True))
        response = ask(api_of(alice), ready_post, Prefer=prefer)
        assert response.status_code == 200
        assert "Retry-After" not in response
        body = response.json()
        assert (body["state"], body["confident"]) == ("ready", True)
        assert [entry["song"]["title"] for entry in body["suggestions"]] == ["In time"]
        assert Feedback.objects.get(kind="impression").song == song

    def test_the_row_is_committed_before_the_wait_also_with_atomic_requests(
        self, api_of, alice, ready_post, release, while_it_waits, monkeypatch
    ):
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        while_it_waits(lambda asked: finish(asked, release, [], notice="no_songs"))
        body = ask(api_of(alice), ready_post, Prefer="").json()
        assert (body["state"], body["suggestions"], body["notice"]["code"]) == ("ready", [], "no_songs")

    def test_a_failure_ends_the_wait(self, api_of, alice, ready_post, release, while_it_waits):
        while_it_waits(lambda asked: finish(asked, None, [], state=State.FAILED, reason="text_empty"))
        response = ask(api_of(alice), ready_post, Prefer="")
        assert (response.status_code, response.json()["failure"]["code"]) == (200, "text_empty")

    def test_a_post_that_fails_ends_the_wait(self, api_of, alice, ready_post, while_it_waits):
        Post.objects.update(state=State.ANALYSING)
        while_it_waits(lambda asked: Post.objects.update(state=State.FAILED, reason="photo_missing"))
        assert ask(api_of(alice), ready_post, Prefer="").json()["failure"]["code"] == "photo_missing"

    def test_a_post_that_is_deleted_ends_the_wait(self, api_of, alice, ready_post, while_it_waits):
        while_it_waits(lambda asked: ready_post.delete())
        problem(ask(api_of(alice), ready_post, Prefer=""), 404, "not_found")

    def test_a_post_that_is_deleted_before_the_request_is_made_is_not_found(
        self, api_of, alice, ready_post, monkeypatch
    ):
        """Whoever deletes it has the row locked until after the commit."""
        song, read = Suggestion.objects.first().song_id, recommendations.find_own

        def read_and_lose(*args):
            post = read(*args)
            delete_post(post=post)
            return post

        monkeypatch.setattr(recommendations, "find_own", read_and_lose)
        url, event = f"/api/v1/posts/{ready_post.pk}", {"song": str(song), "kind": "play"}
        problem(ask(api_of(alice), ready_post), 404, "unknown_post")
        monkeypatch.setattr(feedback, "find_own", lambda *args: ready_post)
        problem(api_of(alice).post(f"{url}/choice", {"song": str(song)}, format="json"), 404, "unknown_post")
        problem(api_of(alice).post(f"{url}/feedback", {"events": [event]}, format="json"), 404, "unknown_post")

    def test_the_site_bounds_the_wait(self, api_of, alice, ready_post, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "ANSWER_SECONDS": 0.1}
        assert ask(api_of(alice), ready_post, Prefer="wait=999999999999").status_code == 202

    @pytest.mark.parametrize("prefer", ["wait=0", "respond-async", "respond-async;q=1, return=minimal"])
    def test_without_a_wait_the_answer_has_an_address_to_poll(
        self, api_of, alice, ready_post, release, make_song, prefer
    ):
        first = ask(api_of(alice), ready_post, Prefer=prefer)
        assert first.status_code == 202
        assert api_of(alice).get(first["Location"])["Retry-After"] == "1"
        finish(RecommendationRequest.objects.get(is_default=False), release, [make_song("Later")])
        assert api_of(alice).get(first["Location"]).json()["suggestions"][0]["song"]["title"] == "Later"
