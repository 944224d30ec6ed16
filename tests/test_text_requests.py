"""Songs for a text, without photos: over the API, by a worker, and forgotten."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from socialsongs.errors import TextRefused
from socialsongs.models import Feedback, RecommendationRequest, State
from socialsongs.services.recommendation_requests import request_for_text
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.requests import answer_requests
from workers.lanes.songs import encode_songs

from .releases import card

URL = "/api/v1/recommendations"


@pytest.fixture
def loaded(db, model):
    from socialsongs.services.releases import register

    return LoadedRelease(register(name="small", sha256=model.sha256, card=card()), model)


@pytest.fixture
def api(api_of, alice):
    return api_of(alice)


@pytest.fixture
def asked(api, loaded, make_song):
    """A request as a worker has answered it."""
    for title, lyrics in {"One": "The gulls go home\nThe tide comes in", "Two": "Snow on the road\nA red door"}.items():
        make_song(title, lyrics=lyrics, artist=title)
    while encode_songs(loaded, limit=10):
        pass
    answer = api.post(URL, {"text": "the sea, home", "limit": 2}, format="json")
    assert answer.status_code == 202
    assert answer["Location"] == answer.json()["url"]
    assert answer.json()["parameters"]["text"] == "the sea, home"
    assert answer_requests(ServingReleases(loaded), limit=5) == 1
    return answer.json()["url"]


def test_a_text_gets_songs(api, asked, alice):
    body = api.get(asked).json()
    assert (body["state"], len(body["suggestions"])) == ("ready", 2)
    assert Feedback.objects.filter(kind="impression", user=alice).count() == 2


def test_feedback_on_songs_for_a_text(api, asked, alice):
    song = api.get(asked).json()["suggestions"][0]["song"]["id"]
    events = {"events": [{"song": song, "kind": "choose"}, {"song": song, "kind": "hide"}]}
    assert api.post(f"{asked}/feedback", events, format="json").json() == {"recorded": 2, "known": 0}
    assert song not in [suggestion["song"]["id"] for suggestion in api.get(asked).json()["suggestions"]]
    assert api.delete(f"{asked}/hidden/{song}").status_code == 204
    assert song in [suggestion["song"]["id"] for suggestion in api.get(asked).json()["suggestions"]]
    assert set(Feedback.objects.filter(user=alice).values_list("kind", flat=True)) == {"impression", "choose"}


def test_a_hidden_song_is_not_suggested_again_for_the_same_request(api, asked, loaded):
    song = api.get(asked).json()["suggestions"][0]["song"]["id"]
    api.post(f"{asked}/feedback", {"events": [{"song": song, "kind": "hide"}]}, format="json")
    RecommendationRequest.objects.update(state=State.QUEUED)
    answer_requests(ServingReleases(loaded), limit=5)
    assert str(RecommendationRequest.objects.get().suggestions.get().song_id) != song


def test_a_song_that_was_not_suggested_is_refused(api, asked, make_song):
    events = {"events": [{"song": str(make_song("Other").pk), "kind": "play"}]}
    refused = api.post(f"{asked}/feedback", events, format="json")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_suggested")


def test_nobody_else_sees_it(api_of, asked, bob, staff):
    for other in (bob, staff):
        for answer in (
            api_of(other).get(asked),
            api_of(other).delete(asked),
            api_of(other).post(f"{asked}/feedback", {"events": []}, format="json"),
            api_of(other).delete(f"{asked}/hidden/{RecommendationRequest.objects.get().pk}"),
        ):
            assert answer.status_code == 404
    assert api_of(None).post(URL, {"text": "rain"}, format="json").status_code == 401


def test_requests_of_a_post_are_not_found_there(api, ready_post):
    assert api.get(f"{URL}/{ready_post.requests.get().pk}").status_code == 404


@pytest.mark.parametrize("text", [None, "", "   ", "?!", "x" * 501, ["a"], "a\0b"])
def test_a_text_without_words_is_refused(api, text):
    refused = api.post(URL, {} if text is None else {"text": text}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["text"])


@pytest.mark.parametrize("text", ["", "?!", "x" * 501, "a\0b"])
def test_the_service_refuses_them_too(alice, text):
    with pytest.raises(TextRefused):
        request_for_text(owner=alice, text=text)


def test_it_is_requested_once_for_a_key(api):
    ids = {api.post(URL, {"text": "rain"}, format="json", headers={"Idempotency-Key": "k"}).json()["id"] for _ in "ab"}
    assert ids == {str(RecommendationRequest.objects.get().pk)}


def test_it_is_deleted_by_its_owner_and_feedback_stays_without_them(api, asked):
    api.get(asked)
    assert api.delete(asked).status_code == 204
    assert api.get(asked).status_code == 404
    assert set(Feedback.objects.values_list("user", "request")) == {(None, None)}


def test_it_ends_with_the_account_and_by_retention(api, alice, bob):
    old = request_for_text(owner=bob, text="old")
    RecommendationRequest.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=40))
    request_for_text(owner=bob, text="young")
    request_for_text(owner=alice, text="hers")
    call_command("socialsongs_forget", days=30)
    assert set(RecommendationRequest.objects.values_list("text", flat=True)) == {"young", "hers"}
    alice.delete()
    assert set(RecommendationRequest.objects.values_list("text", flat=True)) == {"young"}
