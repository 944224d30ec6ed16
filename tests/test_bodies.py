"""Which bodies of requests the real web server reads: sizes, chunks, compression, and who sends them."""

import json
import re
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.contrib.auth import get_user_model

from socialsongs.conf import MIB
from socialsongs.models import Post
from socialsongs.site.processes import WEB

from .accounts import token_of
from .processes import free_port, holds, process, wait_until

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

RATE = 60


class Site:
    def __init__(self, port, spool, log, pid):
        self.port, self.spool, self.log, self.pid = port, spool, log, pid

    def send(self, method, path, body=b"", headers=None):
        """Send a request; return status, headers and body of the answer, which may come before all is sent."""
        head = {"Host": "localhost", "Connection": "close", "Content-Length": len(body), **(headers or {})}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in head.items() if value is not None),
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            with suppress(OSError):  # the server may have closed the connection
                connection.sendall(body)
            answer = b""
            try:
                while part := connection.recv(65536):
                    answer += part
            except OSError:
                assert b"\r\n\r\n" in answer
        head, _, content = answer.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        found = dict(field.lower().split(": ", 1) for field in fields)
        if found.get("transfer-encoding") == "chunked":
            content = b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", content, re.DOTALL))
        return int(status.split()[1]), found, content

    def problem(self, *arguments, **options):
        status, headers, content = self.send(*arguments, **options)
        assert headers["content-type"] == "application/problem+json", content
        body = json.loads(content)
        assert body["status"] == status
        return status, body["code"]


@pytest.fixture(scope="module")
def site(django_db_setup, tmp_path_factory, django_db_blocker):
    """Start one server for all tests of this file."""
    folder = tmp_path_factory.mktemp("site")
    spool = folder / "spool"
    spool.mkdir()
    port, log = free_port(), folder / "log"
    environment = {"TMPDIR": str(spool), "SOCIALSONGS_READ_RATE": f"{RATE}/hour", "SECURE_SSL": "0"}
    with django_db_blocker.unblock(), process([*WEB, f"127.0.0.1:{port}"], log, **environment) as started:
        wait_until(lambda: listens(port), log)
        yield Site(port, spool, log, started.pid)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def token(site):
    return {"Authorization": f"Token {token_of(get_user_model().objects.create_user('alice'))}"}


def multipart(content, name="photos"):
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n\r\n'.encode()
    return head + content + b"\r\n--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


class Spooled(threading.Thread):
    """Measures the most bytes that were in the server's folder for temporary files."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.most, self.done = folder, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.005):
            sizes = []
            for path in self.folder.rglob("*"):
                try:
                    sizes.append(path.stat().st_size)
                except FileNotFoundError:
                    continue
            self.most = max(self.most, sum(sizes))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


# Who sends it


@pytest.mark.parametrize("path", ["/accounts/login/", "/", "/admin/login/"])
def test_files_of_an_unknown_client_are_refused_by_pages(site, path):
    body, headers = multipart(bytes(20 * MIB))
    headers |= {"Cookie": f"csrftoken={'a' * 32}"}  # without it the check against forgery does not read the body
    with Spooled(site.spool) as spooled:
        status, _, content = site.send("POST", path, body, headers)
    assert status == 413
    assert b"Too large" in content
    assert spooled.most < MIB


@pytest.mark.parametrize("header", [{}, {"Authorization": "Token wrong"}, {"Cookie": "sessionid=wrong"}])
def test_photos_of_an_unknown_client_are_refused_by_the_api(site, header):
    body, headers = multipart(bytes(20 * MIB))
    with Spooled(site.spool) as spooled:
        assert site.problem("POST", "/api/v1/posts", body, headers | header)[0] == (401 if header else 413)
    assert spooled.most < MIB


def test_known_clients_may_send_large_photos(site, token, photo_bytes):
    content = photo_bytes() + bytes(10 * MIB)  # after its end a JPEG may hold anything
    body, headers = multipart(content)
    with Spooled(site.spool) as spooled:
        status, _, answer = site.send("POST", "/api/v1/posts", body, headers | token)
    assert status == 202, answer
    assert spooled.most > 5 * MIB  # the test would see it


# How much


def test_a_large_json_is_refused(site, token):
    body, headers = b" " * (2 * MIB + 1), {"Content-Type": "application/json"} | token
    assert site.problem("PATCH", "/api/v1/taste", body, headers) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["songs/bulk", "posts"])
def test_a_hundred_megabytes_are_refused_without_being_kept(site, token, path):
    body, headers = b" " * (100 * 1_000_000), {"Content-Type": "application/json"} | token
    with Spooled(site.spool) as spooled:
        found = site.problem("POST", f"/api/v1/{path}", body, headers)
        chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        chunked = site.problem(
            "POST", f"/api/v1/{path}", chunk, headers | {"Content-Length": None, "Transfer-Encoding": "chunked"}
        )
    assert found == ((415, "unsupported_media_type") if path == "posts" else (413, "body_too_large"))
    assert chunked in [found, (411, "length_required")]
    assert spooled.most < 110_000_000  # on disk, in no memory, and for as long as the request


def test_songs_in_bulk_may_be_large_and_chunked(site):
    desk = {"Authorization": f"Token {token_of(get_user_model().objects.create_superuser('desk'))}"}
    songs = [
        {"id": str(number), "title": f"Song {number}", "artist": "A", "lyrics": "the sea\n" * 1000}
        for number in range(500)
    ]
    body = json.dumps({"source": "shop", "songs": songs}).encode()
    assert len(body) > 4 * MIB
    headers = {"Content-Type": "application/json"} | desk
    status, _, answer = site.send("POST", "/api/v1/songs/bulk", body, headers)
    assert status == 200, answer
    assert json.loads(answer)["created"] == 500
    chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    headers |= {"Content-Length": None, "Transfer-Encoding": "chunked"}
    status, _, answer = site.send("POST", "/api/v1/songs/bulk", chunk, headers)
    assert (status, json.loads(answer).get("unchanged")) in [(200, 500), (411, None)]


# In what form


def test_a_chunked_body_is_not_read_as_empty(site, token):
    """The server joins the chunks; one that does not answers 411."""
    headers = {"Content-Length": None, "Transfer-Encoding": "chunked", "Content-Type": "application/json"} | token
    found = site.problem("PATCH", "/api/v1/taste", b'11\r\n{"enabled": true}\r\n0\r\n\r\n', headers)
    assert found in [(409, "taste_not_offered"), (411, "length_required")]


def test_a_compressed_body_is_refused(site, token):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"} | token
    assert site.problem("PATCH", "/api/v1/taste", b"\x1f\x8b", headers) == (415, "unsupported_encoding")


@pytest.mark.parametrize("charset", ["hex", "idna", "undefined", "rot13", "klingon"])
def test_a_charset_that_is_no_text_encoding_is_refused(site, token, charset):
    headers = {"Content-Type": f"multipart/form-data; boundary=edge; charset={charset}"} | token
    assert site.problem("POST", "/api/v1/posts?a=b", b"--edge--\r\n", headers) == (415, "unsupported_encoding")
    assert site.send("GET", "/api/v1/songs?q=a", b"", headers)[0] == 200


@pytest.mark.parametrize(
    ("charset", "status"),
    [("latin1", 415), ("utf-16", 415), ("klingon", 415), ("UTF-8", 409), ('"utf8"', 409), ("us-ascii", 409)],
)
def test_json_is_utf_8(site, token, charset, status):
    headers = {"Content-Type": f"application/json; charset={charset}"} | token
    code = "unsupported_encoding" if status == 415 else "taste_not_offered"
    assert site.problem("PATCH", "/api/v1/taste", b'{"enabled": true}', headers) == (status, code)


@pytest.mark.parametrize("charset", ["hex", "idna", "klingon"])
def test_pages_refuse_a_charset_that_is_no_text_encoding(site, charset):
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    for path, status in {"/accounts/login/?next=/": 200, "/?page=2": 302, "/admin/login/?next=/": 200}.items():
        assert site.send("POST", path, b"x", headers)[0] == 415
        assert site.send("GET", path, b"", headers)[0] == status


def test_an_upload_that_breaks_off_stores_nothing(site, token, photo_bytes):
    body, headers = multipart(photo_bytes())
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        lines = ["POST /api/v1/posts HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers | token).items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body[:500])
        wait_until(lambda: holds(site.pid, connection), site.log)
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: not holds(site.pid, connection), site.log)
    assert not Post.objects.exists()


@pytest.mark.parametrize("path", ["songs/bulk", "songs/status", "recommendations"])
def test_bodies_of_the_wrong_form_are_named(site, path):
    desk = {"Authorization": f"Token {token_of(get_user_model().objects.create_superuser('desk'))}"}
    json_type = {"Content-Type": "application/json"} | desk
    for body, headers, expected in (
        (b"{}", {"Content-Type": "text/plain"} | desk, (415, "unsupported_media_type")),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"} | desk, (415, "unsupported_media_type")),
        (b"\x1f\x8b", {"Content-Encoding": "gzip"} | json_type, (415, "unsupported_encoding")),
        (b"[" * 100_000, json_type, (400, "parse_error")),
        (b'{"songs": [' * 50_000, json_type, (400, "parse_error")),
        (b"{", json_type, (400, "parse_error")),
        (b"[]", json_type, (400, "invalid")),
    ):
        assert site.problem("POST", f"/api/v1/{path}", body, headers) == expected, body[:20]


def test_a_key_of_ten_kilobytes_is_refused(site, token):
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k" * 10_240} | token
    assert site.problem("POST", "/api/v1/recommendations", b'{"text": "rain"}', headers) == (400, "invalid")


# How often


def test_a_rate_holds_under_requests_at_the_same_time(site, token):
    def ask(_):
        request = urllib.request.Request(f"http://127.0.0.1:{site.port}/api/v1/songs", headers=token)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code if 0 < int(error.headers["Retry-After"]) <= 3601 else None

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(ask, range(2 * RATE)))
    assert (statuses.count(200), statuses.count(429)) == (RATE, RATE)
