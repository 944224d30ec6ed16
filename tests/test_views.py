"""The views of a request's photos, loaded from stored analyses."""

import pytest

from socialsongs.models import PhotoAnalysis, PhotoSubject, RecommendationRequest, State
from socialsongs.services.posts import create_post
from socialsongs.services.releases import register
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.drain import Loop
from workers.lanes.requests import answer_requests

pytestmark = pytest.mark.django_db


@pytest.fixture
def serving(model):
    return ServingReleases(LoadedRelease(register(name=model.name, sha256=model.sha256, card={}), model))


@pytest.fixture
def post(serving, alice, upload):
    made, _ = create_post(owner=alice, uploads=[upload()])
    loop = Loop()
    assert loop._posts(serving)
    loop.leave()
    return made


def test_an_analysis_of_an_older_version_is_completed(serving, post):
    before = PhotoAnalysis.objects.get()
    assert before.direction is not None
    PhotoAnalysis.objects.update(direction=None)
    RecommendationRequest.objects.create(post=post)
    assert answer_requests(serving, limit=1) == 1
    assert PhotoAnalysis.objects.get().direction == pytest.approx(before.direction, abs=1e-2)


def test_a_request_and_a_post_whose_photos_are_gone_fail_with_a_reason(serving, post, alice, upload):
    asked = RecommendationRequest.objects.create(post=post)
    new, _ = create_post(owner=alice, uploads=[upload()])
    PhotoSubject.objects.all().delete()
    assert answer_requests(serving, limit=8) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.reason) == (State.FAILED, "photo_missing")
    loop = Loop()
    loop._posts(serving)
    loop.leave()
    new.refresh_from_db()
    assert (new.state, new.reason) == (State.FAILED, "photo_missing")
