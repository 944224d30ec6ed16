"""The commands that run the model: releases, reencode, suggest. The weights are random, everything else is real."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import torch
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from redis import Redis

from recommender.release import save_release
from socialsongs.broker import BULK, KEY_PREFIX, queue_name
from socialsongs.models import ModelRelease, Post, RecommendationRequest, Song, SongEmbedding, State
from socialsongs.services.catalogue import save_song
from socialsongs.services.posts import create_post
from socialsongs.services.releases import limit
from workers.inference.loading import load_registered
from workers.lanes.drain import Loop, is_limited
from workers.lanes.reconcile import reconcile
from workers.lanes.songs import encode_songs

from . import photos
from .releases import card, network
from .skips import import_or_skip

pytestmark = pytest.mark.django_db


def random_release(folder, name="tiny", seed=0):
    weights = network()
    torch.nn.init.normal_(weights.reference, generator=torch.Generator().manual_seed(seed))
    save_release(weights, card(name), folder)


@pytest.fixture
def folder(settings, tmp_path):
    """Return a releases folder with one release, "tiny"."""
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "RELEASES_DIR": str(tmp_path / "releases")}
    random_release(tmp_path / "releases")
    return tmp_path / "releases"


def run(*arguments, **options):
    output = StringIO()
    call_command(*arguments, stdout=output, **options)
    return output.getvalue()


def states():
    return dict(ModelRelease.objects.values_list("name", "state"))


# releases


def test_the_first_release_is_active_and_a_second_one_staged(folder, make_song):
    make_song()
    assert run("releases", "register") == "tiny: active\n"
    random_release(folder, "second", seed=1)
    assert run("releases", "register") == "second: staged\ntiny: active\n"
    assert states() == {"tiny": "active", "second": "staged"}
    assert SongEmbedding.objects.filter(state=State.QUEUED).count() == 2  # one song, to be encoded for both


def test_registering_again_changes_nothing(folder):
    run("releases", "register", "tiny")
    before = ModelRelease.objects.values().get()
    assert run("releases", "register", "tiny") == "tiny: active\n"
    assert ModelRelease.objects.values().get() == before


def test_other_weights_under_a_known_name_are_refused(folder):
    run("releases", "register")
    random_release(folder, "tiny", seed=1)
    with pytest.raises(CommandError, match="'tiny' is registered with other weights"):
        run("releases", "register")


def test_a_release_that_cannot_be_loaded_is_refused(folder):
    with pytest.raises(CommandError, match=r"no release 'other'.*known releases: tiny"):
        run("releases", "register", "other")
    (folder / "tiny" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(CommandError, match="damaged"):
        run("releases", "register")
    assert not ModelRelease.objects.exists()


def test_a_release_is_activated_when_all_songs_are_encoded_or_by_force(folder, make_song):
    make_song()
    run("releases", "register")
    random_release(folder, "second", seed=1)
    run("releases", "register")
    with pytest.raises(CommandError, match="second has encoded 0 of 1 songs"):
        run("releases", "activate", "second")
    with pytest.raises(CommandError, match="tiny is active already"):
        run("releases", "stage", "tiny")
    assert states() == {"tiny": "active", "second": "staged"}
    run("releases", "activate", "second", force=True)
    assert states() == {"tiny": "staged", "second": "active"}
    SongEmbedding.objects.filter(release__name="tiny").update(state=State.READY)
    run("releases", "activate", "tiny")
    assert states() == {"tiny": "active", "second": "staged"}


def test_a_rollback_is_immediate_and_songs_edited_meanwhile_are_encoded_for_both(folder, make_song):
    song = make_song()
    run("releases", "register")
    with pytest.raises(CommandError, match="No previous release"):
        run("releases", "rollback")
    random_release(folder, "second", seed=1)
    run("releases", "register")
    run("releases", "activate", "second", force=True)
    SongEmbedding.objects.update(state=State.READY)
    song.lyrics = "Entirely new words"
    save_song(song=song)
    assert set(SongEmbedding.objects.values_list("release__name", "state")) == {
        ("tiny", State.QUEUED),
        ("second", State.QUEUED),
    }
    assert run("releases", "rollback") == "tiny: active\n"
    assert states() == {"tiny": "active", "second": "staged"}
    assert run("releases", "retire", "second") == "second: retired\n"
    with pytest.raises(CommandError, match="No previous release"):
        run("releases", "rollback")
    song.lyrics = "Other words again"
    save_song(song=song)
    assert run("releases", "stage", "second") == "second: staged\n"  # and the songs that it has missed are queued
    row = SongEmbedding.objects.select_related("song").get(release__name="second")
    assert (row.lyrics_digest, row.state) == (row.song.lyrics_digest, State.QUEUED)


def test_the_active_release_cannot_be_retired(folder):
    random_release(folder, "second", seed=1)
    run("releases", "register", "tiny", "second")
    with pytest.raises(CommandError, match="tiny is active"):
        run("releases", "retire", "tiny")
    run("releases", "retire", "second")
    assert states() == {"tiny": "active", "second": "retired"}


def test_no_worker_is_woken_for_the_songs_of_a_retired_release(folder, make_song):
    random_release(folder, "second", seed=1)
    run("releases", "register", "tiny", "second")
    make_song()
    SongEmbedding.objects.filter(release__name="tiny").update(state=State.READY)
    with Redis.from_url(settings.REDIS_URL) as broker:
        reconcile()
        assert broker.llen(KEY_PREFIX + queue_name(BULK)) == 1
        run("releases", "retire", "second")
        reconcile()
        assert broker.llen(KEY_PREFIX + queue_name(BULK)) == 1


def test_an_unknown_release_is_named(folder):
    for action in ("activate", "retire", "index"):
        with pytest.raises(CommandError, match="No release 'nobody' is registered"):
            run("releases", action, "nobody")


def test_the_list_shows_the_coverage_of_each_release(folder, make_song, capsys, wide):
    run("releases", "register")
    make_song("Read")
    SongEmbedding.objects.update(state=State.READY)
    make_song("Waiting")
    run("releases", "list")
    [row] = [line for line in capsys.readouterr().out.splitlines() if "tiny" in line]
    assert [cell.strip() for cell in row.split("│")[1:5]] == [
        "tiny",
        "active",
        "1/2",
        ModelRelease.objects.get().sha256[:12],
    ]


def test_encode_limits_pauses_and_resumes(folder, make_song):
    run("releases", "register")
    random_release(folder, "second", seed=1)
    make_song()
    run("releases", "stage", "second")
    second = ModelRelease.objects.filter(name="second")
    with Redis.from_url(settings.REDIS_URL) as broker:
        assert run("releases", "encode", "second", "--pause", "--rate", "7.5") == (
            "second: paused at 0 of 1 songs; go on with --resume\n"
        )
        assert second.values_list("paused", "songs_per_second").get() == (True, 7.5)
        SongEmbedding.objects.filter(release__name="tiny").update(state=State.READY)
        broker.flushdb()
        reconcile()
        assert broker.llen(KEY_PREFIX + queue_name(BULK)) == 0  # nobody is woken for a release that is paused
        SongEmbedding.objects.update(state=State.READY)
        assert run("releases", "encode", "second", "--resume", "--rate", "0") == "second: 1 of 1 songs are encoded\n"
    assert second.values_list("paused", "songs_per_second").get() == (False, None)
    with pytest.raises(CommandError, match=r"-1\.0 songs a second are no rate"):
        run("releases", "encode", "second", "--rate", "-1")


def database_now():
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cursor.fetchone()[0]


def test_the_rate_holds_over_batches(folder, make_song, settings):
    """A batch's share of the rate must be over before any worker claims the next."""
    run("releases", "register")
    for number in range(3):
        make_song(f"Song {number}")
    release = ModelRelease.objects.get()
    limit(release=release, songs_per_second=0.1)
    settings.SOCIALSONGS = {
        **settings.SOCIALSONGS,
        "RECONCILE_SECONDS": 60,
    }  # a worker waits in its task for limits shorter than that
    loaded, loop = load_registered(release), Loop()
    release.refresh_from_db()
    before = database_now()
    assert encode_songs(loaded, limit=2) == 2
    assert (loop._bulk(), is_limited()) == (False, True)
    release.refresh_from_db()
    wait = timedelta(seconds=2 / 0.1)
    assert before + wait <= release.encode_after <= database_now() + wait
    ModelRelease.objects.update(encode_after=F("encode_after") - wait)  # as if so much time had passed
    assert (loop._bulk(), is_limited()) == (True, False)
    assert not SongEmbedding.objects.exclude(state=State.READY).exists()


# reencode and requeue


def test_requeue_tries_again_what_failed_and_nothing_else(alice, upload, folder, make_song):
    run("releases", "register")
    make_song()
    posts = [create_post(owner=alice, uploads=[upload()])[0] for _ in range(3)]
    failed = {"state": State.FAILED, "attempts": 3}
    for post, reason in zip(posts, ("photo_missing", "attempts_exhausted"), strict=False):
        Post.objects.filter(pk=post.pk).update(reason=reason, **failed)
        post.requests.update(reason=reason, **failed)
    RecommendationRequest.objects.create(text="the sea", reason="attempts_exhausted", **failed)
    SongEmbedding.objects.update(reason="attempts_exhausted", **failed)

    def left():
        kinds = (Post, RecommendationRequest, SongEmbedding)
        return [kind.objects.filter(state=State.FAILED).count() for kind in kinds]

    assert left() == [2, 3, 1]
    assert run("requeue", "posts", "--reason", "attempts_exhausted") == "1 posts are queued again\n"
    assert left() == [1, 2, 1]
    assert run("requeue", "requests") == "1 requests are queued again\n"  # a failed post's goes with its post
    assert left() == [1, 1, 1]
    assert run("requeue", "songs") == "1 songs are queued again\n"
    assert left() == [1, 1, 0]
    again = Post.objects.get(pk=posts[1].pk)
    assert (again.state, again.reason, again.attempts, again.finished_at) == (State.QUEUED, "", 0, None)


def test_reencode_queues_what_it_is_asked_to(folder, make_song):
    random_release(folder, "second", seed=1)
    run("releases", "register", "tiny", "second")
    first, second = make_song("One"), make_song("Two")

    def again(*arguments):
        SongEmbedding.objects.update(state=State.READY, attempts=3)
        SongEmbedding.objects.filter(song=second, release__name="tiny").update(state=State.FAILED, reason="x")
        text = run("reencode", *arguments)
        rows = SongEmbedding.objects.filter(state=State.QUEUED, attempts=0, reason="")
        assert text == f"{rows.count()} songs are queued\n"
        return set(rows.values_list("song__title", "release__name"))

    assert again("--release", "second") == {("One", "second"), ("Two", "second")}
    assert again("--song", str(first.pk)) == {("One", "tiny"), ("One", "second")}
    assert len(again()) == 4


# suggest


@pytest.fixture
def photo():
    skimage = import_or_skip("skimage")
    return Path(skimage.__file__).parent / "data" / "coffee.png"


def test_suggest_prints_songs_for_a_photo_before_any_worker_ran(folder, make_song, photo, capsys, wide):
    song = make_song()
    run("releases", "register")
    run("suggest", str(photo))
    table = capsys.readouterr().out
    assert photo.name in table
    assert song.title in table
    assert any(line in table for line in song.lyrics.splitlines() if line)
    assert SongEmbedding.objects.get().state == State.READY


def test_suggest_answers_in_json(folder, make_song, photo):
    for number in range(4):
        make_song(f"Song {number}", lyrics=f"The tide comes in\n\nI count {number} masts")
    make_song("Draft", status="draft")
    run("releases", "register")
    [found] = json.loads(run("suggest", str(photo), json=True, limit=3))
    assert found["photo"] == str(photo)
    assert {"name", "kind", "score", "box"} == set(found["tags"][0])
    assert [suggestion["rank"] for suggestion in found["suggestions"]] == [1, 2, 3]
    scores = [suggestion["score"] for suggestion in found["suggestions"]]
    assert scores == sorted(scores, reverse=True)
    for suggestion in found["suggestions"]:
        song = Song.objects.get(pk=suggestion["song"]["id"])
        assert (song.title, song.status) == (suggestion["song"]["title"], "published")
        assert suggestion["line"] in song.lyrics.split("\n")


def test_suggest_names_files_that_it_cannot_decode_and_goes_on(folder, make_song, photo, tmp_path):
    make_song()
    run("releases", "register")
    (tmp_path / "letter.jpg").write_text("Dear Sir or Madam")
    output, errors = StringIO(), StringIO()
    bad = [str(tmp_path / name) for name in ("letter.jpg", "nowhere.jpg")]
    with pytest.raises(SystemExit) as stopped:
        call_command("suggest", *bad, str(photo), json=True, stdout=output, stderr=errors)
    assert stopped.value.code == 1
    assert [line.partition(": ")[0] for line in errors.getvalue().splitlines()] == bad
    assert [found["photo"] for found in json.loads(output.getvalue())] == [str(photo)]


def test_suggest_decodes_a_photo_as_an_upload_is_decoded(folder, make_song, tmp_path):
    make_song()
    run("releases", "register")
    jpeg = photos.written(photos.slope(), "JPEG")
    odd = photos.tiff([(0x8825, 2, 4, b"2.3\0"), (0x011A, 2, 4, b"abc\0"), (0x0100, 99, 1, b""), photos.ROTATED])
    good = {
        "odd.jpg": photos.with_segments(jpeg, photos.exif(odd)),
        "endless.jpg": jpeg[:-2],
        "text.png": photos.png((64, 64), pixel=b"abc", before=photos.chunk(b"tEXt", b"Comment\0" + bytes(1_500_000))),
        "grid.heic": photos.heic(tiles=(3, 2)),
    }
    bad = {
        "scans.jpg": photos.many_scans(2000),
        "bomb.webp": photos.riff((b"VP8L", photos.lossless_head(7071, 7071) + bytes(13))),
        "half.jpg": jpeg[: len(jpeg) // 2],
    }
    for name, content in {**good, **bad}.items():
        (tmp_path / name).write_bytes(content)
    output, errors = StringIO(), StringIO()
    paths = [str(tmp_path / name) for name in (*good, *bad)]
    with pytest.raises(SystemExit):
        call_command("suggest", *paths, json=True, stdout=output, stderr=errors)
    assert [found["photo"] for found in json.loads(output.getvalue())] == paths[: len(good)]
    assert [line.partition(": ")[0] for line in errors.getvalue().splitlines()] == paths[len(good) :]


def test_suggest_says_when_there_is_no_release(folder, photo):
    with pytest.raises(CommandError, match="No model release is active"):
        run("suggest", str(photo))


def test_suggest_refuses_other_weights_than_the_registered_ones(folder, photo):
    run("releases", "register")
    ModelRelease.objects.update(sha256="0" * 64)
    with pytest.raises(CommandError, match="the database registered 000000000000"):
        run("suggest", str(photo))
