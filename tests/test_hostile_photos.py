"""Files that cost more to decode than their size suggests, and files that break decoders: answered in bounded time."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psutil
import pytest
from django.contrib.contenttypes.models import ContentType
from PIL import Image

from socialsongs import intake
from socialsongs.errors import DecodersUnavailable
from socialsongs.intake import clean_photo, pool
from socialsongs.models import PhotoSubject, Post, PostPhoto, Song
from workers.failures import Outage, PermanentFailure
from workers.inference.photo_loading import decode, failure_of

from . import photos
from .clips import keep
from .hostile import ANSWERS, decoders, hostile_files, memory_of_decoders, processor_seconds
from .test_api_posts import URL, problem

PROCESSOR_SECONDS = 10  # the slowest takes 1.4; what other processes take of the machine does not count
PATIENCE = 60
MIB = 1024 * 1024


@pytest.fixture
def limits(settings):
    def make(**more):
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, **more}

    return make


@pytest.fixture
def fresh():
    """End the decoders of earlier tests, and those of this one afterwards."""
    pool._pool(2).end()
    pool._pool.cache_clear()
    yield
    pool._pool(2).end()
    pool._pool.cache_clear()


@contextmanager
def processor(seconds):
    """Assert that the block takes less processor time than ``seconds``; the load of the machine does not count."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


# All of them, through the API


@pytest.mark.django_db
def test_hostile_photos_are_refused_or_read(api_of, alice, upload, limits):
    limits(UPLOAD_RATE="1000000/hour", MAX_WAITING_PHOTOS=1_000_000)
    api = api_of(alice)
    with memory_of_decoders() as peak:
        for name, content in hostile_files(120, seed=7):
            used = processor_seconds()
            response = api.post(URL, {"photos": upload(content, name)})
            assert response.status_code in ANSWERS, (name, response.content)
            assert processor_seconds() - used < PROCESSOR_SECONDS, name
    assert 0 < peak[0] < 300
    stored = PostPhoto.objects.all()
    assert 0 < stored.count() == Post.objects.count()
    for photo in stored:
        with photo.image.open() as file, Image.open(file) as kept:
            kept.load()
            assert (kept.format, kept.mode, kept.size) == ("JPEG", "RGB", (photo.width, photo.height))
            assert not kept.getexif()


# Refused by the container's header, before anything is decoded


@pytest.fixture
def undecoded(monkeypatch):
    """Fails the test when a decoder is asked."""

    def decode(*_):
        raise AssertionError("A decoder was asked.")

    monkeypatch.setattr(pool, "decode", decode)


REFUSED = {
    "2,000 scans": (lambda: photos.many_scans(2000), intake.TooManyParts),
    "10,000 scans": (lambda: photos.many_scans(10_000), intake.TooManyParts),
    "60 scans of 20 million pixels": (lambda: photos.many_scans(60, (5000, 4000)), intake.TooManyParts),
    "3 million comments": (
        lambda: photos.with_segments(photos.written(photos.slope(), "JPEG"), b"\xff\xfe\0\2" * 3_000_000),
        intake.TooManyParts,
    ),
    "a million chunks": (
        lambda: photos.png((64, 64), pixel=b"abc", before=photos.chunk(b"tEXt", b"") * 1_000_000),
        intake.TooManyParts,
    ),
    "PNG of 40,000 x 40,000 in one byte": (lambda: photos.png((40_000, 40_000), packed=b"x"), intake.DamagedPhoto),
    "PNG with a row of its 7,000": (lambda: photos.png((7000, 7000), pixel=b"abc", rows=1), intake.DamagedPhoto),
    "WebP in 38 bytes": (
        lambda: photos.riff((b"VP8L", photos.lossless_head(7071, 7071) + bytes(13))),
        intake.TooMuchMemory,
    ),
    "WebP with a large canvas": (
        lambda: photos.riff((b"VP8X", photos.canvas(7071, 7071)), (b"VP8L", photos.lossless_head(64, 64))),
        intake.TooMuchMemory,
    ),
    "WebP of 16,383 x 16,383": (
        lambda: photos.riff((b"VP8L", photos.lossless_head(16383, 16383))),
        intake.TooManyPixels,
    ),
    "progressive JPEG of 49 million pixels in three full planes": (
        lambda: photos.written(Image.new("RGB", (7000, 7000)), "JPEG", progressive=True, subsampling=0),
        intake.TooMuchMemory,
    ),
    "HEIC of 5,110 tiles": (lambda: photos.heic(tiles=(70, 73)), intake.TooManyParts),
    "HEIC of more pixels than it shows": (lambda: photos.heic(tiles=(40, 40), said=(96, 64)), intake.TooManyParts),
    "HEIC of 70,000 x 70,000": (lambda: photos.heic(said=(70_000, 70_000)), intake.TooManyPixels),
    "HEIC of 5,000 grids of 5,000 grids of 5,000 tiles": (
        lambda: photos.heic_boxes(photos.made_of({1: [2] * 5000, 2: [3] * 5000, 3: [4] * 5000})),
        intake.TooManyParts,
    ),
    "HEIC of 1.9 million properties": (
        lambda: photos.heic_boxes(
            photos.box(b"iprp", photos.box(b"ipco", photos.box(b"free") * 190_000) * 10),
        ),
        intake.TooManyParts,
    ),
    "HEIC of 2.5 million items": (
        lambda: photos.heic_boxes(
            photos.box(b"iprp", photos.box(b"ipma", bytes(4), b"\0\0\x13\x88", b"\0\7\0" * 5000) * 500),
        ),
        intake.TooManyParts,
    ),
    "HEIC of 3 million references": (
        lambda: photos.heic_boxes(photos.made_of({item: [7] * 5000 for item in range(600)})),
        intake.TooManyParts,
    ),
    **{
        f"HEIC that ends in an empty {name.decode()}": (lambda box=box: photos.heic_boxes(box), intake.DamagedPhoto)
        for name, box in [
            (b"pitm", photos.box(b"pitm")),
            (b"iref", photos.box(b"iref")),
            (b"ipma", photos.box(b"iprp", photos.box(b"ipma"))),
        ]
    },
}


@pytest.mark.parametrize(("make", "error"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_before_it_is_decoded(upload, undecoded, make, error):
    content = make()
    with processor(2), pytest.raises(error):
        clean_photo(upload(content))


LONG = {
    "Exif in 52,000 segments": lambda: photos.with_segments(
        photos.written(photos.slope(), "JPEG"),
        photos.exif(photos.tiff([photos.ROTATED])) + photos.segment(0xE1, b"Exif\0\0more") * 52_000,
    ),
    "14 MB of filling": lambda: photos.with_segments(
        photos.written(photos.slope(), "JPEG"), photos.exif(photos.tiff([photos.ROTATED])), b"\xff" * 14 * MIB
    ),
    "PNG with a text of 1.2 MB": lambda: photos.png(
        (320, 240), pixel=b"abc",
        before=photos.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 1_200_000)
        + photos.chunk(b"eXIf", photos.tiff([photos.ROTATED])),
    ),
    "PNG with a packed text of 60 MB": lambda: photos.png(
        (320, 240), pixel=b"abc",
        before=photos.chunk(b"zTXt", b"Comment\0\0" + photos.zlib.compress(bytes(60_000_000)))
        + photos.chunk(b"iCCP", b"icc\0\0" + photos.zlib.compress(bytes(60_000_000)))
        + photos.chunk(b"eXIf", photos.tiff([photos.ROTATED])),
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_long_metadata_are_skipped(upload, make):
    content = make()
    with processor(2):
        photo = clean_photo(upload(content))
    assert (photo.width, photo.height) == (240, 320)


# Decoders


def test_the_memory_of_a_decoder_is_limited(upload, limits):
    """A large photo brings a decoder near its limit."""
    with memory_of_decoders() as peak:
        clean_photo(upload(photos.png((7000, 7000), depth=8, colour=6, pixel=b"abcd")))
    assert 200 < peak[0] < 300


def test_a_photo_that_needs_more_memory_than_its_header_says_is_refused(upload, limits, monkeypatch):
    monkeypatch.setattr(intake, "_check_memory", lambda header: None)
    limits(DECODE_MEMORY_MIB=1)
    with pytest.raises(intake.TooMuchMemory, match="1 MB of memory"):
        clean_photo(upload(photos.png((7000, 7000), depth=8, colour=6, pixel=b"abcd")))
    limits(DECODE_MEMORY_MIB=224)
    assert clean_photo(upload()).width == 320  # the same process


def test_a_photo_that_takes_too_long_is_refused_and_the_next_one_is_decoded(upload, limits):
    large = photos.png((7000, 7000), depth=8, colour=6, pixel=b"abcd")
    limits(DECODE_CPU_SECONDS=0.05)
    with pytest.raises(intake.TookTooLong):
        clean_photo(upload(large))
    limits(DECODE_CPU_SECONDS=3.0, DECODE_SECONDS=0.05)
    with pytest.raises(intake.TookTooLong):
        clean_photo(upload(large))
    limits(DECODE_SECONDS=60.0)
    assert clean_photo(upload()).width == 320


@pytest.mark.django_db
def test_a_photo_that_kills_its_decoder_is_refused_for_good(api_of, alice, upload, limits, fresh):
    """The decoder is killed while it reads the photo."""
    limits(DECODE_CPU_SECONDS=60.0, DECODE_SECONDS=60.0)
    clean_photo(upload())
    (decoder,) = decoders()
    answers = []
    large = photos.png((7000, 7000), depth=16, colour=6, pixel=b"abcdefgh")

    def kill():
        before = decoder.cpu_times().user
        while decoder.cpu_times().user < before + 0.05:
            time.sleep(0.005)
        decoder.send_signal(signal.SIGSEGV)

    killing = threading.Thread(target=kill)
    killing.start()
    answers.append(api_of(alice).post(URL, {"photos": upload(large)}))
    killing.join()
    assert problem(answers[0], 422, "undecodable")["photo"]["place"] == 1
    assert api_of(alice).post(URL, {"photos": upload()}).status_code == 202
    assert Post.objects.count() == 1


def test_a_decoder_that_was_killed_between_two_photos_is_replaced(upload, fresh):
    clean_photo(upload())
    (decoder,) = decoders()
    decoder.kill()
    wait_for_the_end(decoder.pid)
    assert clean_photo(upload()).width == 320


@pytest.mark.django_db
def test_without_decoders_an_upload_is_to_be_tried_again(api_of, alice, upload, fresh, monkeypatch):
    monkeypatch.setattr(pool, "_python", lambda: "/nowhere/python3")
    response = api_of(alice).post(URL, {"photos": upload()})
    problem(response, 503, "decoders_unavailable")
    assert response["Retry-After"] == "5"
    monkeypatch.setattr(pool, "_python", lambda: "/bin/false")  # starts, and ends
    problem(api_of(alice).post(URL, {"photos": upload()}), 503, "decoders_unavailable")
    assert not Post.objects.exists()
    monkeypatch.undo()
    assert api_of(alice).post(URL, {"photos": upload()}).status_code == 202


@pytest.mark.django_db
def test_without_decoders_the_page_says_so(client, alice, upload, fresh, monkeypatch):
    monkeypatch.setattr(pool, "_python", lambda: "/nowhere/python3")
    client.force_login(alice)
    response = client.post("/", {"photos": upload()})
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "Try again in a few seconds" in response.content.decode()


def test_when_all_decoders_are_busy_photos_wait_and_then_give_up(upload, limits, fresh):
    limits(DECODE_PROCESSES=1, DECODE_SECONDS=0.05)
    with pool._pool(1)._free, pytest.raises(DecodersUnavailable):
        clean_photo(upload())
    limits(DECODE_SECONDS=60.0)
    found = []
    threads = [threading.Thread(target=lambda: found.append(clean_photo(upload()).width)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [320] * 6
    assert len(decoders()) == 1
    pool._pool(1).end()


def test_decoders_end_with_the_web_process_and_know_nothing_of_it():
    """The web process is killed; a decoder has neither Django nor the environment."""
    code = (
        "import django; django.setup();"
        "from django.core.files.base import ContentFile; from socialsongs.intake import clean_photo;"
        "import io, os, sys, psutil; from PIL import Image; file = io.BytesIO();"
        "Image.new('RGB', (64, 64)).save(file, 'JPEG'); clean_photo(ContentFile(file.getvalue()));"
        "(child,) = psutil.Process().children(); maps = ''.join(each.path for each in child.memory_maps());"
        "assert 'psycopg' not in maps; assert 'SECRET_KEY' not in child.environ(); print(child.pid, flush=True);"
        "sys.stdin.read()"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "socialsongs.site.settings"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as web:
        decoder = psutil.Process(int(web.stdout.readline()))
        web.kill()
    wait_for_the_end(decoder.pid)


def test_a_fork_has_decoders_of_its_own(upload, fresh):
    """Two processes on one socket would get each other's photos."""
    clean_photo(upload())
    (decoder,) = decoders()
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        clean_photo(upload())
        os.write(sending, json.dumps([each.pid for each in decoders()]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(sending)
    with os.fdopen(receiving) as said:
        assert decoder.pid not in json.loads(said.read())
    assert clean_photo(upload()).width == 320


def test_a_decoder_ends_with_its_process_though_a_fork_of_that_lives_on(upload, fresh):
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        clean_photo(upload())
        (decoder,) = decoders()
        fork = os.fork()
        if not fork:
            time.sleep(60)
            os._exit(0)
        os.write(sending, json.dumps([decoder.pid, fork]).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(sending)
    decoder, fork = json.loads(os.read(receiving, 1000))
    os.close(receiving)
    try:
        wait_for_the_end(decoder)
        assert is_alive(fork)
    finally:
        os.kill(fork, signal.SIGKILL)


def wait_for_the_end(pid):
    deadline = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Photos of a host's own model, which a worker decodes


@pytest.fixture
def subject_of(make_song):
    """Return a function that makes the subject of a file field of another model, as a host's photo is."""

    def make(content):
        song = make_song()
        keep(song, "photo.jpg", content)
        kind = ContentType.objects.get_for_model(Song)
        return PhotoSubject.objects.create(content_type=kind, object_id=str(song.pk), field="preview_file")

    return make


@pytest.mark.django_db
def test_a_worker_decodes_a_hosts_photo_as_an_upload_is_decoded(model, subject_of):
    jpeg = photos.with_segments(
        photos.written(photos.slope(), "JPEG"), photos.exif(photos.tiff([(0x8825, 2, 4, b"2.3\0"), photos.ROTATED]))
    )
    for content in (jpeg, photos.heic(rotation=1)):
        seen = decode(model, subject_of(content)).result()
        middle = seen.shape[1] // 2
        assert abs(float(seen[0, middle, 4] - seen[0, middle, -4])) > 2  # dark on one side, since it is upright
        assert abs(float(seen[0, 4, middle] - seen[0, -4, middle])) < 0.5


@pytest.mark.django_db
def test_a_hosts_photo_that_is_refused_fails_for_good(model, subject_of, undecoded):
    failure = failure_of(decode(model, subject_of(photos.many_scans(2000))))
    assert isinstance(failure, PermanentFailure)
    assert failure.reason == "photo_unreadable"


@pytest.mark.django_db
def test_a_hosts_photo_waits_while_there_are_no_decoders(model, subject_of, fresh, monkeypatch):
    monkeypatch.setattr(pool, "_python", lambda: "/nowhere/python3")
    failure = failure_of(decode(model, subject_of(photos.written(photos.slope(), "JPEG"))))
    assert isinstance(failure, Outage)
    assert failure.reason == "decoders_unavailable"
