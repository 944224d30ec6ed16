"""POST and GET /api/v1/posts, and what belongs to one post."""

import json
import uuid

import pytest

from socialsongs.models import Feedback, PhotoAnalysis, Post, RecommendationRequest, State, Suggestion
from socialsongs.services.posts import create_post
from workers.lanes.reconcile import reconcile

pytestmark = pytest.mark.django_db
URL = "/api/v1/posts"


def problem(response, status, code):
    """Assert that an answer is problem+json with this status and code; return its body."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    return body


class TestCreatePost:
    def test_it_works(self, api_of, alice, upload):
        response = api_of(alice).post(URL, {"photos": upload(), "caption": "Hello"})
        assert response.status_code == 202
        body = response.json()
        assert response["Location"] == body["url"]
        assert response["Retry-After"] == "1"
        assert (body["state"], body["caption"], body["visibility"]) == ("queued", "Hello", "private")
        assert body["photos"][0]["tags"] is None
        assert body["suggestions"] is None
        post = Post.objects.get(pk=body["id"])
        assert post.requests.get().is_default

    def test_it_keeps_the_order_of_photos(self, api_of, alice, upload, photo_bytes):
        sizes = [(100, 50), (50, 100), (60, 60)]
        response = api_of(alice).post(URL, {"photos": [upload(photo_bytes(size=size)) for size in sizes]})
        assert [(photo["width"], photo["height"]) for photo in response.json()["photos"]] == sizes

    def test_the_same_key_and_body_give_the_first_post(self, api_of, alice, upload):
        api = api_of(alice)
        first = api.post(URL, {"photos": upload()}, headers={"Idempotency-Key": "k1"})
        second = api.post(URL, {"photos": upload()}, headers={"Idempotency-Key": "k1"})
        assert first.json()["id"] == second.json()["id"]
        assert second.status_code == 202
        assert Post.objects.count() == 1

    def test_the_same_key_with_another_body_is_refused(self, api_of, alice, upload):
        api = api_of(alice)
        api.post(URL, {"photos": upload()}, headers={"Idempotency-Key": "k1"})
        again = api.post(URL, {"photos": upload(), "caption": "new"}, headers={"Idempotency-Key": "k1"})
        problem(again, 409, "idempotency_conflict")

    def test_it_names_the_bad_one_of_several_photos(self, api_of, alice, upload):
        bad = upload(b"Dear Sir or Madam", name="beach\u202e\x07 (2).jpg")
        response = api_of(alice).post(URL, {"photos": [upload(name="a.jpg"), bad, upload(name="c.jpg")]})
        body = problem(response, 422, "not_a_photo")
        assert body["detail"].startswith("Photo 2 (beach (2).jpg): This is not a JPEG")
        assert body["photo"] == {"place": 2, "name": "beach (2).jpg"}
        assert not Post.objects.exists()

    def test_the_one_bad_photo_needs_no_name_in_its_text(self, api_of, alice, upload):
        body = problem(api_of(alice).post(URL, {"photos": upload(b"x", name="a.jpg")}), 422, "not_a_photo")
        assert body["detail"].startswith("This is not a JPEG")
        assert body["photo"] == {"place": 1, "name": "a.jpg"}

    def test_a_long_name_is_cut(self, api_of, alice, upload):
        response = api_of(alice).post(URL, {"photos": [upload(), upload(b"", name="x" * 200 + ".jpg")]})
        assert len(problem(response, 422, "empty_file")["photo"]["name"]) == 80

    def test_photos_that_wait_are_bounded(self, api_of, alice, bob, upload, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_WAITING_PHOTOS": 10}
        api = api_of(alice)
        first = api.post(URL, {"photos": [upload() for _ in range(9)]}, headers={"Idempotency-Key": "k1"})
        assert first.status_code == 202
        refused = api.post(URL, {"photos": [upload(), upload()]})
        assert "9 of your photos" in problem(refused, 429, "too_many_waiting")["detail"]
        assert refused["Retry-After"] == "10"
        assert api.post(URL, {"photos": upload()}).status_code == 202
        Post.objects.update(state=State.ANALYSING)
        problem(api.post(URL, {"photos": upload()}), 429, "too_many_waiting")
        again = api.post(URL, {"photos": [upload() for _ in range(9)]}, headers={"Idempotency-Key": "k1"})
        assert again.json()["id"] == first.json()["id"]
        assert api_of(bob).post(URL, {"photos": upload()}).status_code == 202
        Post.objects.filter(owner=alice).update(state=State.READY)
        assert api.post(URL, {"photos": upload()}).status_code == 202

    def test_keys_of_two_people_do_not_meet(self, api_of, alice, bob, upload):
        for user in (alice, bob):
            api_of(user).post(URL, {"photos": upload()}, headers={"Idempotency-Key": "k1"})
        assert Post.objects.count() == 2

    def test_it_rejects_a_long_key(self, api_of, alice, upload):
        problem(api_of(alice).post(URL, {"photos": upload()}, headers={"Idempotency-Key": "k" * 256}), 400, "invalid")

    def test_it_rejects_a_missing_photo(self, api_of, alice):
        assert "photos" in problem(api_of(alice).post(URL, {"caption": "x"}), 400, "invalid")["errors"]

    def test_it_rejects_what_is_no_photo(self, api_of, alice, upload):
        problem(api_of(alice).post(URL, {"photos": upload(b"words")}), 422, "not_a_photo")
        assert not Post.objects.exists()

    def test_it_rejects_a_large_file(self, api_of, alice, upload, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_UPLOAD_BYTES": 100}
        problem(api_of(alice).post(URL, {"photos": upload()}), 413, "file_too_large")

    def test_it_rejects_too_many_photos(self, api_of, alice, upload, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_PHOTOS_PER_POST": 1}
        problem(api_of(alice).post(URL, {"photos": [upload(), upload()]}), 422, "too_many_photos")

    def test_one_bad_photo_stores_nothing(self, api_of, alice, upload, tmp_path, settings):
        settings.MEDIA_ROOT = tmp_path
        problem(api_of(alice).post(URL, {"photos": [upload(), upload(b"words")]}), 422, "not_a_photo")
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_it_rejects_json(self, api_of, alice):
        refused = api_of(alice).post(URL, {"caption": "x"}, format="json")
        assert "multipart/form-data" in problem(refused, 415, "unsupported_media_type")["detail"]

    def test_an_unknown_field_is_named(self, api_of, alice, upload):
        sent = {"photos": upload(), "photo": upload(), "titel": "a"}
        errors = problem(api_of(alice).post("/api/v1/posts", sent), 400, "invalid")["errors"]
        assert errors["photo"] == errors["titel"] == ["There is no such key. Known: photos, caption, visibility."]
        assert not Post.objects.exists()

    def test_a_photo_that_is_sent_as_a_text_is_told_apart(self, api_of, alice):
        errors = problem(api_of(alice).post("/api/v1/posts", {"photos": "a.jpg"}), 400, "invalid")["errors"]
        assert "needs a filename" in str(errors)

    def test_it_asks_for_a_login(self, api_of, upload):
        response = api_of(None).post(URL, {"photos": upload()})
        problem(response, 401, "not_authenticated")
        assert response["WWW-Authenticate"] == "Token"

    def test_it_is_throttled_per_user(self, api_of, alice, bob, upload, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "UPLOAD_RATE": "1/hour"}
        api_of(alice).post(URL, {"photos": upload()})
        refused = api_of(alice).post(URL, {"photos": upload()})
        said = problem(refused, 429, "throttled")["detail"]
        assert said.startswith("Too many requests: the rate “upload” allows 1 in 3600 seconds. Send it again in ")
        assert 0 < int(refused["Retry-After"]) <= 3601
        assert api_of(bob).post(URL, {"photos": upload()}).status_code == 202

    def test_an_upload_is_taken_while_the_broker_is_down(self, api_of, alice, upload, settings):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "BROKER_URL": "redis://127.0.0.1:1/0"}
        assert api_of(alice).post(URL, {"photos": upload()}).status_code == 202


class TestReadPost:
    def test_it_works(self, api_of, alice, ready_post):
        body = api_of(alice).get(f"{URL}/{ready_post.pk}").json()
        assert body["state"] == "ready"
        assert body["photos"][0]["tags"][0]["name"] == "harbor"
        assert [entry["rank"] for entry in body["suggestions"]] == [1, 2, 3]
        first = body["suggestions"][0]
        assert first["song"]["title"] == "Song 1"
        assert first["line"] == {
            "text": "The tide comes in",
            "place": 1,
            "before": ["The gulls go home"],
            "after": ["I count the masts", "Till you come in"],
        }
        assert first["reasons"][0]["tag"] == "harbor"
        assert first["release"] == "written-down"

    def test_an_answer_gives_the_origin_of_each_song_and_a_notice(self, api_of, alice, ready_post):
        asked = ready_post.requests.filter(is_default=True)
        url = f"{URL}/{ready_post.pk}"
        before = api_of(alice).get(url).json()
        assert (before["notice"], {entry["origin"] for entry in before["suggestions"]}) == (None, {"match"})
        asked.update(confident=False, notice="fewer_songs")
        asked.get().suggestions.filter(rank=1).update(origin="editorial")
        after = api_of(alice).get(url).json()
        assert (after["confident"], after["notice"]["code"]) == (False, "fewer_songs")
        assert after["notice"]["detail"]
        assert [entry["origin"] for entry in after["suggestions"]] == ["editorial", "match", "match"]

    def test_reading_as_the_owner_records_impressions_once(self, api_of, alice, bob, staff, ready_post):
        Post.objects.update(visibility="public")
        for user in (bob, staff):
            api_of(user).get(f"{URL}/{ready_post.pk}")
        assert not Feedback.objects.exists()
        for _ in range(2):
            api_of(alice).get(f"{URL}/{ready_post.pk}")
        shown = Feedback.objects.filter(kind="impression", user=alice)
        assert sorted(shown.values_list("rank", flat=True)) == [1, 2, 3]

    def test_a_choice_names_the_posts_own_list_by_what_the_post_says(self, api_of, alice, ready_post):
        shown = api_of(alice).get(f"{URL}/{ready_post.pk}").json()
        assert shown["request"] == str(ready_post.requests.get().pk)
        chosen = {"song": shown["suggestions"][1]["song"]["id"], "request": shown["request"]}
        assert api_of(alice).post(f"{URL}/{ready_post.pk}/choice", chosen, format="json").status_code == 200
        assert Feedback.objects.get(kind="choose").request == ready_post.requests.get()

    def test_a_head_request_records_no_impressions(self, api_of, alice, ready_post):
        assert api_of(alice).head(f"{URL}/{ready_post.pk}").status_code == 200
        assert not Feedback.objects.exists()

    def test_a_photo_without_tags_is_told_from_a_photo_that_waits(self, api_of, alice, ready_post, upload):
        PhotoAnalysis.objects.update(tags=[])
        assert api_of(alice).get(f"{URL}/{ready_post.pk}").json()["photos"][0]["tags"] == []
        waiting, _ = create_post(owner=alice, uploads=[upload()])
        assert api_of(alice).get(f"{URL}/{waiting.pk}").json()["photos"][0]["tags"] is None

    def test_staff_see_tags_and_suggestions_of_everybodys_posts(self, api_of, staff, ready_post):
        assert api_of(staff).get(f"{URL}/{ready_post.pk}").json()["suggestions"]

    def test_a_private_post_does_not_exist_for_others(self, api_of, bob, ready_post):
        for path in ("", "/photos/0", "/choice", "/feedback", "/retry"):
            api, method = api_of(bob), "get" if path in ("", "/photos/0") else "post"
            problem(getattr(api, method)(f"{URL}/{ready_post.pk}{path}"), 404, "not_found")
        problem(api_of(bob).delete(f"{URL}/{ready_post.pk}"), 404, "not_found")

    def test_others_see_of_a_public_post_no_tags_and_no_suggestions(self, api_of, bob, ready_post):
        Post.objects.update(visibility="public")
        body = api_of(bob).get(f"{URL}/{ready_post.pk}").json()
        assert body["photos"][0]["tags"] is None
        assert [body[key] for key in ("request", "confident", "notice", "suggestions")] == [None] * 4
        assert list(api_of(bob).get(f"{URL}/{ready_post.pk}/photos/0").streaming_content)
        problem(api_of(bob).delete(f"{URL}/{ready_post.pk}"), 404, "not_found")

    @pytest.mark.parametrize("change", ["private", "deleted"])
    def test_what_changes_during_the_wait_is_not_shown(self, api_of, bob, ready_post, monkeypatch, change):
        Post.objects.update(visibility="public", state=State.QUEUED)

        def wait(**_):
            Post.objects.update(visibility="private") if change == "private" else Post.objects.all().delete()
            return True

        monkeypatch.setattr("socialsongs.api.posts.wait_for_analysis", wait)
        problem(api_of(bob).get(f"{URL}/{ready_post.pk}", headers={"Prefer": "wait=1"}), 404, "not_found")

    def test_a_failed_post_says_why(self, api_of, alice, ready_post):
        Post.objects.update(state=State.FAILED, reason="photo_unreadable")
        failure = api_of(alice).get(f"{URL}/{ready_post.pk}").json()["failure"]
        assert failure["code"] == "photo_unreadable"
        assert "Upload it again" in failure["detail"]

    def test_an_unknown_post_is_404(self, api_of, alice):
        problem(api_of(alice).get(f"{URL}/{uuid.uuid4()}"), 404, "not_found")

    def test_songs_that_left_the_catalogue_are_not_suggested(self, api_of, alice, ready_post):
        song = ready_post.requests.get().suggestions.get(rank=1).song
        song.status = "retired"
        song.save()
        assert [s["rank"] for s in api_of(alice).get(f"{URL}/{ready_post.pk}").json()["suggestions"]] == [2, 3]


def test_the_list_holds_own_posts_newest_first(api_of, alice, bob, upload):
    mine = [create_post(owner=alice, uploads=[upload()])[0] for _ in range(3)]
    create_post(owner=bob, uploads=[upload()], visibility="public")
    page = api_of(alice).get(URL, {"page_size": 2}).json()
    assert [row["id"] for row in page["results"]] == [str(mine[2].pk), str(mine[1].pk)]
    rest = api_of(alice).get(page["next"]).json()
    assert [row["id"] for row in rest["results"]] == [str(mine[0].pk)]
    assert rest["next"] is None


def test_the_photo_is_served_as_jpeg_and_not_to_strangers(api_of, alice, ready_post):
    response = api_of(alice).get(f"{URL}/{ready_post.pk}/photos/0")
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "private" in response["Cache-Control"]
    assert b"".join(response.streaming_content).startswith(b"\xff\xd8")
    for accept in ("image/jpeg", "image/*", "text/html"):  # it has the type that it has
        response = api_of(alice).get(f"{URL}/{ready_post.pk}/photos/0", headers={"Accept": accept})
        assert b"".join(response.streaming_content).startswith(b"\xff\xd8")
    problem(api_of(None).get(f"{URL}/{ready_post.pk}/photos/0"), 401, "not_authenticated")
    problem(api_of(alice).get(f"{URL}/{ready_post.pk}/photos/1"), 404, "not_found")


def test_delete_removes_post_and_file(api_of, alice, ready_post, django_capture_on_commit_callbacks):
    image = ready_post.photos.get().image
    assert image.storage.exists(image.name)
    with django_capture_on_commit_callbacks(execute=True):
        assert api_of(alice).delete(f"{URL}/{ready_post.pk}").status_code == 204
    assert not Post.objects.exists()
    assert not image.storage.exists(image.name)


PRIVATE = [
    ("get", ""), ("delete", ""), ("post", "/retry"), ("get", "/photos/0"), ("post", "/choice"), ("delete", "/choice"),
    ("post", "/feedback"), ("post", "/recommendations"), ("get", "/recommendations/{request}"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_what_belongs_to_a_private_post_is_nobody_else_s(api_of, bob, ready_post, method, path):
    song = Suggestion.objects.get(rank=1).song
    url = f"{URL}/{ready_post.pk}{path.format(request=ready_post.requests.get().pk)}"
    bodies = {"/choice": {"song": str(song.pk)}, "/feedback": {"events": [{"song": str(song.pk), "kind": "play"}]}}
    for user, status, code in ((bob, 404, "not_found"), (None, 401, "not_authenticated")):
        problem(getattr(api_of(user), method)(url, bodies.get(path, {}), format="json"), status, code)
    post = Post.objects.get()
    assert (post.state, post.chosen_song, post.requests.count()) == (State.READY, None, 1)
    assert not Feedback.objects.exists()


def test_a_retried_post_takes_along_the_requests_that_failed_with_it(api_of, alice, ready_post, release):
    waiting = RecommendationRequest.objects.create(post=ready_post, text="calm")
    answered = RecommendationRequest.objects.create(post=ready_post, text="sad", state=State.READY, release=release)
    Post.objects.update(state=State.FAILED, reason="photo_missing")
    reconcile()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason) == (State.FAILED, "photo_missing")
    assert api_of(alice).post(f"{URL}/{ready_post.pk}/retry").status_code == 202
    waiting.refresh_from_db()
    answered.refresh_from_db()
    assert (waiting.state, waiting.reason, waiting.finished_at) == (State.QUEUED, "", None)
    assert answered.state == State.READY


def test_retry_queues_a_failed_post_and_no_other(api_of, alice, ready_post):
    problem(api_of(alice).post(f"{URL}/{ready_post.pk}/retry"), 409, "not_retryable")
    Post.objects.update(state=State.FAILED, reason="attempts_exhausted", attempts=3)
    response = api_of(alice).post(f"{URL}/{ready_post.pk}/retry")
    assert response.status_code == 202
    assert response.json()["state"] == "queued"
    assert Post.objects.get().attempts == 0


class TestChooseSong:
    def test_it_works_and_counts_once(self, api_of, alice, ready_post):
        song = ready_post.requests.get().suggestions.get(rank=2).song
        for _ in range(2):
            body = api_of(alice).post(f"{URL}/{ready_post.pk}/choice", {"song": song.pk}, format="json").json()
            assert body["chosen_song"]["id"] == str(song.pk)
        told = Feedback.objects.exclude(kind="impression").get()
        assert (told.kind, told.rank, told.release.name, told.user) == ("choose", 2, "written-down", alice)

    def test_a_song_found_by_search_can_be_chosen(self, api_of, alice, ready_post, make_song):
        song = make_song("Elsewhere")
        api_of(alice).post(f"{URL}/{ready_post.pk}/choice", {"song": song.pk}, format="json")
        assert Post.objects.get().chosen_song == song
        assert not Feedback.objects.filter(kind="choose").exists()

    def test_it_can_be_taken_back(self, api_of, alice, ready_post):
        song = ready_post.requests.get().suggestions.get(rank=1).song
        api_of(alice).post(f"{URL}/{ready_post.pk}/choice", {"song": song.pk}, format="json")
        assert api_of(alice).delete(f"{URL}/{ready_post.pk}/choice").status_code == 204
        assert Post.objects.get().chosen_song is None

    def test_it_rejects_songs_that_are_not_published(self, api_of, alice, ready_post, make_song):
        song = make_song("Not yet", status="draft")
        problem(
            api_of(alice).post(f"{URL}/{ready_post.pk}/choice", {"song": song.pk}, format="json"), 404, "unknown_song"
        )

    def test_it_counts_in_the_list_that_is_named(self, api_of, alice, ready_post, release):
        asked, song = ready_post.requests.get(), Suggestion.objects.get(rank=2).song
        newer = RecommendationRequest.objects.create(post=ready_post, text="calm", state=State.READY, release=release)
        Suggestion.objects.create(request=newer, song=song, release=release, rank=1, score=1.0)
        body = {"song": str(song.pk), "request": str(asked.pk)}
        assert api_of(alice).post(f"{URL}/{ready_post.pk}/choice", body, format="json").status_code == 200
        assert Feedback.objects.get(kind="choose").request == asked

    def test_it_rejects_nonsense(self, api_of, alice, ready_post):
        url = f"{URL}/{ready_post.pk}/choice"
        for song in ("x", 5, None, ["x"]):
            assert "song" in problem(api_of(alice).post(url, {"song": song}, format="json"), 400, "invalid")["errors"]
        problem(api_of(alice).post(url, "{", content_type="application/json"), 400, "parse_error")


class TestGiveFeedback:
    def send(self, api, post, *events):
        return api.post(f"{URL}/{post.pk}/feedback", {"events": list(events)}, format="json")

    def test_it_works_and_counts_once(self, api_of, alice, ready_post):
        song = str(ready_post.requests.get().suggestions.get(rank=1).song_id)
        events = [{"song": song, "kind": kind} for kind in ("skip", "play")]
        assert self.send(api_of(alice), ready_post, *events).json() == {"recorded": 2, "known": 0}
        assert self.send(api_of(alice), ready_post, *events).json() == {"recorded": 0, "known": 2}
        assert Feedback.objects.count() == 2

    def test_hidden_songs_are_not_shown_again(self, api_of, alice, ready_post):
        song = str(ready_post.requests.get().suggestions.get(rank=1).song_id)
        self.send(api_of(alice), ready_post, {"song": song, "kind": "hide"})
        assert [s["rank"] for s in api_of(alice).get(f"{URL}/{ready_post.pk}").json()["suggestions"]] == [2, 3]

    def test_a_hidden_song_can_be_shown_again(self, api_of, alice, bob, ready_post):
        song = str(ready_post.requests.get().suggestions.get(rank=1).song_id)
        self.send(api_of(alice), ready_post, {"song": song, "kind": "hide"}, {"song": song, "kind": "play"})
        problem(api_of(bob).delete(f"{URL}/{ready_post.pk}/hidden/{song}"), 404, "not_found")
        for _ in range(2):
            assert api_of(alice).delete(f"{URL}/{ready_post.pk}/hidden/{song}").status_code == 204
        assert [s["rank"] for s in api_of(alice).get(f"{URL}/{ready_post.pk}").json()["suggestions"]] == [1, 2, 3]
        assert set(Feedback.objects.values_list("kind", flat=True)) == {"play", "impression"}

    def test_it_rejects_choices_and_strange_songs(self, api_of, alice, ready_post, make_song):
        song = str(ready_post.requests.get().suggestions.get(rank=1).song_id)
        for kind in ("choose", "impression"):  # made with /choice; noted by itself
            problem(self.send(api_of(alice), ready_post, {"song": song, "kind": kind}), 400, "invalid")
        problem(self.send(api_of(alice), ready_post, {"song": 5, "kind": "play"}), 400, "invalid")
        problem(self.send(api_of(alice), ready_post), 400, "invalid")
        assert not Feedback.objects.exists()

    def test_all_events_are_noted_or_none(self, api_of, alice, ready_post, make_song):
        song, other = str(Suggestion.objects.get(rank=1).song_id), str(make_song("Elsewhere").pk)
        events = [{"song": song, "kind": "play"}, {"song": other, "kind": "play"}]
        assert other in problem(self.send(api_of(alice), ready_post, *events), 422, "not_suggested")["detail"]
        assert not Feedback.objects.exists()

    def test_there_is_a_limit_to_events(self, api_of, alice, ready_post):
        event = {"song": str(Suggestion.objects.get(rank=1).song_id), "kind": "play"}
        assert "100" in problem(self.send(api_of(alice), ready_post, *[event] * 101), 400, "invalid")["detail"]
        assert self.send(api_of(alice), ready_post, *[event] * 100).json() == {"recorded": 1, "known": 99}

    def test_it_counts_in_the_list_that_is_named(self, api_of, alice, ready_post, release, upload):
        asked, song = ready_post.requests.get(), Suggestion.objects.get(rank=2).song
        newer = RecommendationRequest.objects.create(post=ready_post, text="calm", state=State.READY, release=release)
        Suggestion.objects.create(request=newer, song=song, release=release, rank=1, score=1.0)
        event = {"song": str(song.pk), "kind": "play"}
        self.send(api_of(alice), ready_post, event | {"request": str(asked.pk)})
        self.send(api_of(alice), ready_post, event | {"kind": "skip"})
        assert set(Feedback.objects.values_list("kind", "request")) == {("play", asked.pk), ("skip", newer.pk)}
        foreign, _ = create_post(owner=alice, uploads=[upload()])
        for wrong in (str(foreign.requests.get().pk), str(uuid.uuid4()), "x", 5, None, [], {}):
            problem(self.send(api_of(alice), ready_post, event | {"request": wrong}), 400, "invalid")

    def test_half_a_surrogate_pair_is_no_server_error(self, api_of, alice, ready_post):
        body = json.dumps({"events": [{"song": str(uuid.uuid4()), "kind": "\ud83d"}]})
        answer = api_of(alice).post(f"{URL}/{ready_post.pk}/feedback", body, content_type="application/json")
        assert "?" in problem(answer, 400, "invalid")["errors"]["events[0].kind"][0]

    def test_each_wrong_event_is_told_of_all_that_is_wrong_with_it(self, api_of, alice, ready_post):
        events = [{"song": str(uuid.uuid4()), "kind": "play"}, {"song": 5, "kind": "like", "sond": 1}, {}, 7]
        answer = api_of(alice).post(f"{URL}/{ready_post.pk}/feedback", {"events": events, "x": 1}, format="json")
        errors = problem(answer, 400, "invalid")["errors"]
        assert set(errors) == {
            "x", "events[1].song", "events[1].kind", "events[1].sond", "events[2].song", "events[2].kind", "events[3]",
        }  # fmt: skip
        assert errors["events[1].sond"] == ["There is no such key. Known: song, kind, request."]
