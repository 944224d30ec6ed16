"""The whole way with a real Celery worker: songs are encoded, a photo is posted, songs are suggested."""

from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.db import transaction

from recommender.release import load_release
from socialsongs import dispatch
from socialsongs.models import ModelRelease, PhotoAnalysis, Post, Song, SongEmbedding, State
from socialsongs.services.catalogue import save_song
from socialsongs.services.posts import create_post
from socialsongs.site.processes import BEAT, WORKER

from .processes import process, wait_until
from .skips import import_or_skip

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


def photo(name: str) -> bytes:
    skimage = import_or_skip("skimage")
    return (Path(skimage.__file__).parent / "data" / name).read_bytes()


@pytest.fixture
def catalogue():
    call_command("import_songs", sample=True, verbosity=0)
    call_command("releases", "register")


def test_a_worker_encodes_the_catalogue_and_answers_a_post(catalogue, alice, upload, tmp_path):
    log = tmp_path / "worker.log"
    with process(WORKER, log):
        dispatch.send(dispatch.DRAIN_BULK)
        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), log)
        good, _ = create_post(owner=alice, uploads=[upload(photo("coffee.png")), upload(photo("chelsea.png"))])
        wait_until(lambda: Post.objects.get(pk=good.pk).state == State.READY, log)
        with transaction.atomic():  # before the commit makes it visible to the worker
            broken, _ = create_post(owner=alice, uploads=[upload()])
            stored = broken.photos.get().image
            stored.storage.delete(stored.name)
        wait_until(lambda: Post.objects.get(pk=broken.pk).state == State.FAILED, log)

    assert Post.objects.get(pk=broken.pk).reason == "photo_missing"
    analyses = PhotoAnalysis.objects.filter(release__name="starter")
    assert analyses.count() == 2
    for analysis in analyses:
        assert len(analysis.embedding) == 128
        assert analysis.tags
        for tag in analysis.tags:
            x0, y0, x1, y1 = tag["box"]
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
    asked = good.requests.get()
    assert asked.state == State.READY
    found = list(asked.suggestions.select_related("song"))
    assert [suggestion.rank for suggestion in found] == list(range(1, 11))
    assert found[0].score > found[-1].score  # those between are not by relevance alone
    for suggestion in found:
        assert suggestion.line in suggestion.song.lyrics.split("\n")
        assert suggestion.line
    assert any(suggestion.reasons for suggestion in found)


def test_the_reconciler_finds_work_without_a_wake_up(catalogue, alice, upload, tmp_path, settings):
    """A song that was changed past the services, and a post whose wake-up was lost."""
    worker_log, beat_log = tmp_path / "worker.log", tmp_path / "beat.log"
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "BROKER_URL": "redis://127.0.0.1:1/0"}
    post, _ = create_post(owner=alice, uploads=[upload(photo("coffee.png"))])
    with process(WORKER, worker_log), process(BEAT, beat_log):
        wait_until(lambda: Post.objects.get(pk=post.pk).state == State.READY, worker_log)
        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), worker_log)
        song = Song.objects.order_by("title").first()
        Song.objects.filter(pk=song.pk).update(lyrics="Entirely new words\nto be read again", status="retired")
        row = SongEmbedding.objects.filter(song=song)
        wait_until(lambda: row.get().status == "retired" and row.get().state == State.READY, worker_log)
        wait_until(lambda: row.get().line_offsets == [0, 1], worker_log)
    read = SongEmbedding.objects.exclude(stage_one=None).order_by("pk")
    cells = load_release("starter").space.cells(np.array(read.values_list("stage_one", flat=True), np.float32))
    assert list(read.values_list("cell", flat=True)) == cells.tolist()
    assert np.unique(cells).size > 10


def test_a_song_without_words_is_ready_with_a_reason(tmp_path, db):
    call_command("releases", "register")
    save_song(song=Song(title="Interlude", artist="Nobody", lyrics="\n...\n", status="published"))
    log = tmp_path / "worker.log"
    with process(WORKER, log):
        dispatch.send(dispatch.DRAIN_BULK)
        wait_until(lambda: SongEmbedding.objects.get().state == State.READY, log)
    row = SongEmbedding.objects.get()
    assert (row.reason, row.stage_one) == ("no_lyrics", None)
    assert ModelRelease.objects.get().state == "active"
