"""Range requests for the site's own clips, which players send to start in the middle."""

import http.client
import io
import socket
import wave

import pytest
from django.core.files.storage import InMemoryStorage

from socialsongs.models import Song

from .accounts import token_of
from .clips import keep
from .test_api_posts import problem
from .test_server import site  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def clip(seconds=1, rate=8000):
    """Return a WAV of a rising tone, in which no two parts are the same."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(
            b"".join((place * place // 9 % 20000).to_bytes(2, "little") for place in range(seconds * rate))
        )
    return file.getvalue()


CLIP = clip()
SIZE = len(CLIP)


@pytest.fixture(params=["files", "elsewhere"])
def song(request, make_song, monkeypatch):
    """Make a song with a clip on disk, or in a storage without local files."""
    if request.param == "elsewhere":
        monkeypatch.setattr(Song._meta.get_field("preview_file"), "storage", InMemoryStorage())
    song = make_song()
    keep(song, "clip.wav", CLIP)
    return song


@pytest.fixture
def get(api_of, alice, song):
    def ask(method="get", **headers):
        named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        return getattr(api_of(alice), method)(f"/api/v1/songs/{song.pk}/preview", **named)

    return ask


def content(response):
    return b"".join(response.streaming_content)


def test_the_whole_clip_says_that_it_accepts_ranges(get):
    response = get()
    assert (response.status_code, response["Accept-Ranges"], response["Content-Length"]) == (200, "bytes", str(SIZE))
    assert content(response) == CLIP
    assert "Content-Range" not in response


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=100-199", 100, 199),
        ("Bytes= 100-199 ", 100, 199),
        ("bytes=0-0", 0, 0),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=100-999999999", 100, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
    ],
)
def test_a_range_is_answered_with_that_part(get, asked, first, last):
    response = get(range=asked)
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response["Content-Length"] == str(last - first + 1)
    assert response["Content-Type"].startswith("audio/")
    assert content(response) == CLIP[first : last + 1]


@pytest.mark.parametrize(
    "asked",
    ["bytes=", "bytes=-", "bytes=9-3", "bytes=a-b", "items=0-3", "0-3", "bytes=0-3,7-9", "bytes=0--3", "bytes=١-٢",
     "bytes=" + "9" * 5000 + "-"],
)  # fmt: skip
def test_what_is_no_single_range_is_answered_with_the_whole(get, asked):
    response = get(range=asked)
    assert response.status_code == 200
    assert content(response) == CLIP


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=999999999-", "bytes=-0"])
def test_a_part_that_is_not_there_is_refused(get, asked):
    response = get(range=asked)
    problem(response, 416, "range_not_satisfiable")
    assert response["Content-Range"] == f"bytes */{SIZE}"


def test_a_part_goes_with_the_file_that_the_client_has(get, song):
    whole = get()
    tag, date = whole["ETag"], whole["Last-Modified"]
    whole.close()
    known = {"same": tag, "date": date}
    other = {"tag": '"other"', "weak": f"W/{tag}", "date": "Thu, 01 Jan 1970 00:00:00 GMT", "nonsense": "yesterday"}
    for condition in known.values():
        assert content(get(range="bytes=100-199", if_range=condition)) == CLIP[100:200]
    for condition in other.values():
        assert content(get(range="bytes=100-199", if_range=condition)) == CLIP
    keep(song, "clip.wav", CLIP[::-1])
    assert content(get(range="bytes=100-199", if_range=tag)) == CLIP[::-1]


def test_head_has_the_headers_of_the_whole(get):
    response = get("head", range="bytes=100-199")
    assert (response.status_code, response["Content-Length"], response["Accept-Ranges"]) == (200, str(SIZE), "bytes")
    response.close()


def test_an_empty_clip_has_no_parts(api_of, alice, make_song):
    song = make_song()
    keep(song, "clip.wav", b"")
    response = api_of(alice).get(f"/api/v1/songs/{song.pk}/preview", HTTP_RANGE="bytes=0-")
    problem(response, 416, "range_not_satisfiable")
    assert response["Content-Range"] == "bytes */0"


def test_through_a_real_server(site, alice, make_song):  # noqa: F811
    port, log = site
    song = make_song()
    keep(song, "clip.wav", CLIP)
    token = token_of(alice)
    path, headers = f"/api/v1/songs/{song.pk}/preview", {"Authorization": f"Token {token}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for asked, part in (("bytes=100-199", CLIP[100:200]), ("bytes=-7", CLIP[-7:]), ("", CLIP), ("bytes=5-", CLIP[5:])):
        connection.request("GET", path, headers=headers | ({"Range": asked} if asked else {}))
        response = connection.getresponse()
        assert response.status == (206 if asked else 200)
        assert response.read() == part
    connection.close()
    # The answer to HEAD has no body, which http.client would hide, and the connection goes on.
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        head = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n"
        last = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-3\r\nConnection: close\r\n"
        plain.sendall(f"{head}{last}Authorization: Token {token}\r\n\r\n".encode())
        received = b""
        while piece := plain.recv(65536):
            received += piece
    first, second, body = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert f"Content-Length: {SIZE}".encode() in first
    assert second.startswith(b"HTTP/1.1 206 ")
    assert body == CLIP[:4] == b"RIFF"
    assert "Traceback" not in log.read_text()
