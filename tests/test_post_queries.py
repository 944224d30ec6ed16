"""The queries of reading a post: as many for 20 suggestions and 5 photos as for one of each."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from socialsongs.models import PhotoAnalysis, PhotoSubject, State, Suggestion
from socialsongs.services.posts import create_post


@pytest.fixture
def post_with(alice, upload, release, make_song):
    def make(photos, songs):
        post, _ = create_post(owner=alice, uploads=[upload() for _ in range(photos)])
        for number, photo in enumerate(post.photos.all()):
            subject = PhotoSubject.objects.get(object_id=photo.pk)
            for tag in (f"old {number}", f"new {number}"):
                tags = [{"name": tag, "kind": "object", "score": 0.5, "box": [0, 0, 1, 1]}]
                other = release if tag.startswith("new") else make.older
                PhotoAnalysis.objects.create(subject=subject, release=other, tags=tags, embedding=[0.0] * 128)
        asked = post.requests.get()
        for rank in range(1, songs + 1):
            Suggestion.objects.create(
                request=asked, song=make_song(f"{post.pk} {rank}"), release=release, rank=rank, score=1.0,
                line="The tide comes in", line_index=1,
            )  # fmt: skip
        asked.state, asked.release, asked.finished_at = State.READY, release, timezone.now()
        asked.save()
        post.state = State.READY
        post.save()
        return post

    from socialsongs.services.releases import register

    make.older = register(name="older", sha256="1" * 64, card={})
    return make


def test_more_songs_and_photos_take_no_more_queries(api_of, alice, post_with):
    api = api_of(alice)

    def read(post):
        url = f"/api/v1/posts/{post.pk}"
        api.get(url)  # the first records the impressions
        with CaptureQueriesContext(connection) as queries:
            answer = api.get(url)
        return len(queries), answer.json()

    few, _ = read(post_with(photos=1, songs=1))
    many, body = read(post_with(photos=5, songs=20))
    assert many == few
    assert few <= 7
    assert [suggestion["rank"] for suggestion in body["suggestions"]] == list(range(1, 21))
    assert [photo["tags"][0]["name"] for photo in body["photos"]] == [f"new {number}" for number in range(5)]
