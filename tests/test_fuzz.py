"""A short part of ``make fuzz``: broken uploads, and requests made from the schema, to a real server and worker."""

from random import Random

import pytest

from . import photos
from .accounts import token_of
from .fuzz.contract import check_contract
from .fuzz.files import KINDS, MARK, file, good
from .fuzz.prepared import accounts
from .fuzz.site import MOST_MB, running_site, running_worker
from .fuzz.stored import problems
from .fuzz.uploads import upload_files


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_a_short_fuzz_breaks_nothing(tmp_path, make_song):
    make_song()
    token = token_of(accounts()["ordinary"])
    with running_site(tmp_path) as site, running_worker(tmp_path):
        uploaded = upload_files(site, token, count=60, seed=1)
        assert not uploaded.broken
        assert sum(count for answer, count in uploaded.answers.items() if answer.startswith("202")) > 5
        assert len(uploaded.answers) > 3
        found = check_contract(site, token, tmp_path, cases=1, examples=3, phases="fuzzing,stateful")
        assert found.count > 40
        assert not found.broken
        assert site.alive
        assert site.peak_mb < MOST_MB
        assert "Traceback" not in site.log.read_text()


def test_each_kind_of_file_is_made_and_is_the_same_for_a_seed():
    made = [file(number, 5) for number in range(150)]
    assert {kind for kind, _, _ in made} == {kind.__name__ for kind in KINDS}
    again = [file(number, 5) for number in range(30)]
    assert [each for each in made[:30] if each[0] != "from_hostile"] == [  # some of those have the time of day in them
        each for each in again if each[0] != "from_hostile"
    ]


def test_the_reader_of_stored_photos_finds_what_must_not_be_there():
    """Of the uploads themselves; the short fuzz shows that stored ones have none."""
    plain = photos.written(photos.slope(), "JPEG")
    assert not problems(plain)
    assert any(
        "metadata" in text for text in problems(photos.with_segments(plain, photos.exif(photos.tiff([photos.ROTATED]))))
    )
    for odd in (
        plain + b"<!doctype html>",
        photos.with_segments(plain, photos.segment(0xFE, MARK)),
        plain[:-40],
        b"GIF89a",
    ):
        assert problems(odd)
    for number in range(12):
        content, _ = good(Random(number))
        assert problems(content)
