"""Thumbnails: made once, kept, and deleted with their photo."""

import os
from io import BytesIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import FileSystemStorage
from PIL import Image

from socialsongs.models import Post, PostPhoto, Thumbnail
from socialsongs.services.posts import delete_post
from socialsongs.services.thumbnails import thumbnail

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(ready_post):
    return f"/api/v1/posts/{ready_post.pk}/photos/0"


def read(api, address, **headers):
    answer = api.get(address, headers=headers)
    answer.body = answer.getvalue() if answer.streaming else answer.content
    return answer


def small(api, address, side=192, **headers):
    return read(api, f"{address}?side={side}", **headers)


def test_it_is_made_once_and_kept(api_of, alice, address, monkeypatch):
    api = api_of(alice)
    first = small(api, address)
    content = first.body
    assert Image.open(BytesIO(content)).size == (192, 192)
    kept = Thumbnail.objects.get()
    os.unlink(kept.photo.image.path)  # the photo's file is not read again
    assert small(api, address).body == content
    assert Thumbnail.objects.get() == kept


@pytest.mark.parametrize("side", ["0", "-1", "193", "100000", "x", "", "192.0", "١٩٢"])
def test_it_rejects_other_sizes(api_of, alice, address, side):
    answer = small(api_of(alice), address, side)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert not Thumbnail.objects.exists()


def test_a_thumbnail_is_for_those_who_may_see_the_photo(api_of, alice, bob, address):
    small(api_of(alice), address)
    etag = small(api_of(alice), address).headers["ETag"]
    assert small(api_of(bob), address).status_code == 404
    assert small(api_of(bob), address, **{"If-None-Match": etag}).status_code == 404
    assert small(api_of(None), address).status_code == 401
    Post.objects.update(visibility="public")
    assert small(api_of(bob), address).status_code == 200


def test_a_browser_keeps_it_for_itself(api_of, alice, address):
    api = api_of(alice)
    etags = set()
    for query in ("", "?side=192", "?side=384"):
        answer = read(api, address + query)
        assert answer.headers["Cache-Control"] == "private, max-age=86400"
        etags.add(answer.headers["ETag"])
        again = read(api, address + query, **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.body) == (304, b"")
        assert again.headers["ETag"] == answer.headers["ETag"]
    assert len(etags) == 3


def test_it_goes_with_its_photo(api_of, alice, ready_post, address, django_capture_on_commit_callbacks):
    for side in Thumbnail.Side.values:
        small(api_of(alice), address, side)
    names = [row.image.path for row in Thumbnail.objects.all()]
    assert len(names) == 2
    assert all(map(os.path.exists, names))
    with django_capture_on_commit_callbacks(execute=True):
        delete_post(post=ready_post)
    assert not any(map(os.path.exists, names))
    assert not Thumbnail.objects.exists()


def test_one_whose_photo_is_deleted_while_it_is_made_leaves_nothing(ready_post):
    photo = PostPhoto.objects.get()
    before = set(Path(settings.MEDIA_ROOT).rglob("*.webp"))
    copy = PostPhoto.objects.get()
    with photo.image.open() as file:
        content = file.read()
    delete_post(post=ready_post)
    Path(copy.image.path).write_bytes(content)  # the file of a photo outlives its row until the commit
    assert Image.open(thumbnail(photo=copy, side=192)).size == (192, 192)
    assert set(Path(settings.MEDIA_ROOT).rglob("*.webp")) == before


def test_one_that_the_storage_lost_is_made_anew(api_of, alice, address):
    small(api_of(alice), address)
    os.unlink(Thumbnail.objects.get().image.path)
    assert small(api_of(alice), address).status_code == 200
    assert os.path.exists(Thumbnail.objects.get().image.path)


def test_a_full_disk_does_not_keep_it_from_being_shown(api_of, alice, address, monkeypatch):
    def full(self, name, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "_save", full)
    assert Image.open(BytesIO(small(api_of(alice), address).body)).size == (192, 192)
    assert not Thumbnail.objects.exists()


def test_a_photo_without_its_file_is_not_found(api_of, alice, address):
    os.unlink(PostPhoto.objects.get().image.path)
    assert small(api_of(alice), address).status_code == 404
