"""A release is replaced while its worker computes: the result is dropped and the row claimed anew."""

from pathlib import Path

import pytest

from recommender.release import load_release, save_release
from socialsongs.models import ModelRelease, PhotoAnalysis, Post, RecommendationRequest, State
from socialsongs.services.posts import create_post
from socialsongs.services.releases import activate, register
from workers.inference.loading import LoadedRelease
from workers.inference.serving import ServingReleases
from workers.lanes.drain import Loop
from workers.lanes.requests import answer_requests

from .releases import card, network

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("two")
    for name in ("before", "after"):
        save_release(network(), card(name), folder)
    return {name: load_release(name, folder=folder) for name in ("before", "after")}


@pytest.fixture
def rows(two):
    return {name: register(name=name, sha256=model.sha256, card={}) for name, model in two.items()}


class Switching:
    """The model, which activates another release while it computes."""

    def __init__(self, model, release):
        self._model, self._release = model, release

    def __getattr__(self, name):
        found = getattr(self._model, name)
        if name not in ("analyse_pixels", "view_text"):
            return found

        def call(*given):
            activate(release=self._release)
            return found(*given)

        return call


def do_posts(model, release):
    return Loop()._posts(ServingReleases(LoadedRelease(release, model)))


def test_a_post_is_taken_anew_by_the_new_release(two, rows, alice, upload):
    post, _ = create_post(owner=alice, uploads=[upload()])
    assert do_posts(Switching(two["before"], rows["after"]), rows["before"])
    waiting = Post.objects.get(pk=post.pk)
    assert (waiting.state, waiting.attempts, waiting.lease_token) == (State.QUEUED, 0, None)
    assert not PhotoAnalysis.objects.exists()
    assert do_posts(two["after"], rows["after"])
    assert Post.objects.get(pk=post.pk).state == State.READY
    assert PhotoAnalysis.objects.get().release == rows["after"]
    assert post.requests.get().release == rows["after"]


def test_a_request_is_not_answered_by_a_release_that_was_replaced(two, rows, alice, upload):
    create_post(owner=alice, uploads=[upload()])
    do_posts(two["before"], rows["before"])
    asked = RecommendationRequest.objects.create(text="the sea")
    activate(release=rows["after"])
    assert answer_requests(ServingReleases(LoadedRelease(rows["before"], two["before"])), limit=8) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.attempts) == (State.QUEUED, 0)
    assert ModelRelease.objects.get(name="before").state == ModelRelease.State.STAGED
