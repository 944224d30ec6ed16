"""An upload whose database connection is cut at the commit: the outcome is unknown, so its files stay."""

import pytest
from django.db import OperationalError, connection

from socialsongs.models import Post
from socialsongs.services.posts import create_post

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("happened", [True, False])
def test_the_files_stay_and_the_client_may_ask_again(alice, upload, monkeypatch, happened):
    commit = connection.commit

    def cut_off():
        if not Post.objects.exists():  # the claim of the key
            return commit()
        commit() if happened else connection.rollback()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as fault:
        fault.setattr(connection, "commit", cut_off)
        with pytest.raises(OperationalError):
            create_post(owner=alice, uploads=[upload()], idempotency_key="once")
    assert Post.objects.count() == happened
    post, is_new = create_post(owner=alice, uploads=[upload()], idempotency_key="once")
    assert is_new != happened
    assert Post.objects.count() == 1
    image = post.photos.get().image
    assert image.storage.exists(image.name)


def test_a_refused_row_leaves_no_file(alice, upload, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    from socialsongs.models import RecommendationRequest

    def refuse(**values):
        raise OperationalError("out of connections")

    monkeypatch.setattr(RecommendationRequest.objects, "create", refuse)
    with pytest.raises(OperationalError):
        create_post(owner=alice, uploads=[upload()])
    assert not Post.objects.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
