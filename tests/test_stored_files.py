"""Other accounts of the machine cannot read the photos of the stand-alone site."""

import pytest

from socialsongs.models import PostPhoto

pytestmark = pytest.mark.django_db


def test_other_accounts_of_the_machine_cannot_open_photos(api_of, alice, upload, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    assert api_of(alice).post("/api/v1/posts", {"photos": upload()}).status_code == 202
    photo = settings.MEDIA_ROOT / PostPhoto.objects.get().image.name
    assert photo.stat().st_mode & 0o077 == 0
    for folder in (photo.parent, settings.MEDIA_ROOT):
        assert folder.stat().st_mode & 0o077 == 0
