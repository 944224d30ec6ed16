"""The web server with its usual command: slow connections, bodies, client addresses, its log, its end."""

import http.client
import json
import re
import signal
import socket
from contextlib import contextmanager
from io import StringIO

import psutil
import pytest
from django.core.management import call_command
from gunicorn.config import Config

from socialsongs.bodies import TEXT_BYTES
from socialsongs.conf import config
from socialsongs.models import ExternalUser, Post
from socialsongs.site import request_parser, server
from socialsongs.site.demo import answers
from socialsongs.site.processes import WEB

from .accounts import token_of
from .processes import free_port, holds, process, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@contextmanager
def started_site(tmp_path, command=WEB, **environment):
    port, log = free_port(), tmp_path / "web.log"
    with process([*command, f"127.0.0.1:{port}"], log, **environment) as started:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), log)
        yield port, log, started


@pytest.fixture(scope="module")
def site(django_db_setup, tmp_path_factory):
    """Start one server for all tests that do not end it; yield its port and log."""
    with started_site(tmp_path_factory.mktemp("site"), SOCIALSONGS_MAX_UPLOAD_BYTES="1000000") as (port, log, _):
        yield port, log


def ask(port, method, path, body=None, seconds=20, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def opened(port, text):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(text.encode())
    return connection


def answer(connection):
    """Read until the server closes; return the status and all bytes."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return int(received.split()[1]) if received else None, received


def token(user):
    return f"Token {token_of(user)}"


def form(photo):
    head = b'--edge\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
    return head + photo + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def test_two_hundred_slow_connections_do_not_delay_others(site, alice, photo_bytes):
    """Slow headers, login bodies and upload bodies; without buffering, nine would occupy all eight threads."""
    body, kind = form(photo_bytes())
    openings = [
        "GET /health/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        f"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: 5000\r\n\r\n",
        "POST /api/v1/posts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token made-up\r\n"
        f"{FORM}Content-Length: 5000\r\n\r\n",
        "POST /api/v1/posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
    ]
    port, _ = site
    slow = [opened(port, openings[number % len(openings)]) for number in range(200)]
    for _ in range(3):
        for connection in slow:
            connection.sendall(b"x")
        response, _ = ask(port, "GET", "/health/")
        assert response.status == 200
    # A body in pieces arrives, too. No other test uploads here: the database is made anew between tests, while
    # these processes know its content types by their numbers.
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))
    response, text = ask(port, "POST", "/api/v1/posts", pieces, Authorization=token(alice), Content_Type=kind)
    assert response.status == 202, text
    assert Post.objects.get().photos.count() == 1
    for connection in slow:
        connection.sendall(b"x")  # all of them are still open
        connection.close()


def test_what_arrives_too_slowly_is_closed():
    request = request_parser.RequestParser(SimpleAdjustments())
    request.received(b"POST / HTTP/1.1\r\n")
    assert not request.is_late
    request.started -= request_parser.HEADER_SECONDS + 1
    assert request.is_late
    request.received(b"Content-Length: 100000\r\n\r\n")
    assert not request.is_late
    request.started -= request_parser.BODY_SECONDS
    assert request.is_late
    request.received(b"x" * 20 * request_parser.BODY_BYTES_PER_SECOND)
    assert not request.is_late


def test_clients_that_do_not_read_their_answers_do_not_delay_others(tmp_path):
    """Each asks for 120 MB; a thread that waited until they are read would wait for ever."""
    static = tmp_path / "static"
    static.mkdir()
    (static / "large.txt").write_bytes(b"x" * 2_000_000)
    with started_site(tmp_path, STATIC_ROOT=str(static)) as (port, log, _):
        deaf = [opened(port, "GET /static/large.txt HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60) for _ in range(24)]
        for _ in range(10):
            assert ask(port, "GET", "/health/", seconds=5)[0].status == 200
        # A client that reads gets all bytes.
        patient, received = deaf.pop(), 0
        patient.settimeout(20)
        while received < 120_000_000:
            piece = patient.recv(1_000_000)
            assert piece
            received += len(piece)
        for connection in (patient, *deaf):
            connection.close()
        assert "Traceback" not in log.read_text()


def test_who_sends_several_requests_at_once_is_answered_in_order(site):
    port, _ = site
    several = opened(
        port,
        "GET /nowhere/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        f"POST /api/v1/2 HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: 3\r\n\r\na=b"
        "GET /health/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    _, text = answer(several)
    assert re.findall(rb"HTTP/1.1 (\d+) ", text) == [b"404", b"404", b"200"]
    several.close()


def test_more_connections_than_the_limit_keep_nobody_out(tmp_path):
    few = tmp_path / "few.py"
    few.write_text("from socialsongs.site import server\nserver.CONNECTIONS = 20\n")
    with started_site(tmp_path, [*WEB[:-1], "--config", str(few), "--bind"]) as (port, _, _):
        slow = [opened(port, "GET /health/ HTTP/1.1\r\nHost: local") for _ in range(120)]
        for _ in range(3):
            assert ask(port, "GET", "/health/", seconds=5)[0].status == 200
        for connection in slow:
            connection.close()


class SimpleAdjustments:
    max_request_header_size = server.HEADER_BYTES
    max_request_body_size = server.DISCARDED_BYTES
    inbuf_overflow = 512 * 1024
    url_scheme = "http"


def test_the_loop_closes_slow_connections_and_ends_with_the_process_that_started_it(tmp_path):
    quick = tmp_path / "quick.py"
    quick.write_text("from socialsongs.site import request_parser as it\nit.HEADER_SECONDS = it.BODY_SECONDS = 1\n")
    with started_site(tmp_path, [*WEB[:-1], "--config", str(quick), "--bind"]) as (port, log, started):
        header = opened(port, "GET /health/ HTTP/1.1\r\nHost: local")
        body = opened(port, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n")
        for connection in (header, body):
            connection.sendall(b"x")
        for connection in (header, body):
            assert answer(connection) == (None, b"")
            connection.close()
        assert ask(port, "GET", "/health/")[0].status == 200
        children = psutil.Process(started.pid).children()
        started.kill()
        wait_until(lambda: not any(child.is_running() for child in children), log, 20)


def test_bodies_above_the_limit_are_refused(site, alice):
    port, log = site
    mine = {"Authorization": token(alice), "Content_Type": "multipart/form-data; boundary=edge"}
    # A client without a login may not upload; it is answered after its body was thrown away.
    login = {"Content_Type": "application/x-www-form-urlencoded"}
    response, text = ask(port, "POST", "/accounts/login/", b"x" * 20_000_000, **login)
    assert (response.status, json.loads(text)["code"]) == (413, "body_too_large")
    assert "log in" in json.loads(text)["detail"]
    many = (b"x" * 100_000 for _ in range(200))
    response, text = ask(port, "POST", "/accounts/login/", many, **login)
    assert (response.status, json.loads(text)["code"]) == (413, "body_too_large")
    most = 1_000_000 * config().MAX_PHOTOS_PER_POST + TEXT_BYTES
    response, text = ask(port, "POST", "/api/v1/posts", b"x" * (most + 1), **mine)
    assert (response.status, json.loads(text)["code"]) == (413, "body_too_large")

    # A client that sends Expect: 100-continue need not send the body.
    asks = opened(
        port, "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99000000\r\n\r\n"
    )
    assert answer(asks)[0] == 413
    asks.close()
    for endless in ("1" * 3000, "5\r\nabcde\r\n0\r\nX-Trailer: " + "x" * 3000):
        odd = opened(port, f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{endless}")
        assert answer(odd)[0] == 400
        odd.close()
    large = opened(port, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + "x" * server.HEADER_BYTES)
    assert answer(large)[0] == 431
    large.close()
    nonsense = opened(port, "nonsense\r\n\r\n")
    assert answer(nonsense)[0] == 400
    nonsense.close()
    assert ask(port, "GET", "/health/")[0].status == 200
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    "login",
    ["Authorization: Token made-up", f"Authorization: Bearer ss_{'0' * 12}_{'0' * 64}", "Cookie: sessionid=made-up"],
)
def test_a_made_up_session_or_token_uploads_nothing(site, login):
    port, log = site
    head = f"POST /api/v1/posts HTTP/1.1\r\nHost: localhost\r\n{login}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    asks = opened(port, f"{head}Content-Length: 9000000\r\n\r\n")
    assert answer(asks)[0] == 401
    asks.close()
    chunks = opened(port, f"{head}Transfer-Encoding: chunked\r\n\r\n")
    assert chunks.recv(100).startswith(b"HTTP/1.1 100")  # it may be small
    chunks.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (9_000_000, b"x" * 9_000_000))
    status, text = answer(chunks)
    assert (status, b"body_too_large" in text) == (413, True)
    chunks.close()
    assert "Traceback" not in log.read_text()


def test_who_uploads_after_their_login_has_ended_is_sent_to_the_login(site):
    """The next bytes on the connection are another request."""
    port, _ = site
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Cookie": "sessionid=made-up", "Content-Type": "multipart/form-data; boundary=edge"}
    connection.request("POST", "/", b"x" * 3_000_000, {**headers, "HX-Request": "true"})
    response = connection.getresponse()
    response.read()
    assert (response.status, response.headers["HX-Redirect"]) == (401, "/accounts/login/?next=/")
    connection.request("POST", "/accounts/login/", b"x" * 3_000_000, headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 413
    connection.close()


def test_a_valid_session_or_token_may_upload(site, alice, client):
    """The application answers, since the body passes."""
    port, _ = site
    body = b"x" * 3_000_000
    for kind in ("read", "write"):
        mine = f"Token {token_of(alice, scopes=(kind,))}"
        response, text = ask(port, "POST", "/api/v1/posts", body, Authorization=mine, Content_Type="text/plain")
        assert (response.status, kind) in ((403, "read"), (415, "write")), text
    client.force_login(alice)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    response, text = ask(port, "POST", "/accounts/login/", body, Cookie=cookie, Content_Type="text/plain")
    assert response.status == 403, text  # the check against forgery


def test_an_api_key_acts_for_people_whose_ids_arrive_as_bytes(site):
    """The key comes from the command; the body of its upload passes, as with a login."""
    port, log = site
    out = StringIO()
    call_command("socialsongs_api_key", "create", "Pictogram", "--name", "backend", stdout=out, stderr=StringIO())
    login = f"Bearer {out.getvalue().strip()}"
    person = "J%C3%BCrgen"
    mine = {"Authorization": login, "SocialSongs_User": person}
    response, text = ask(port, "GET", "/api/v1/posts", **mine)
    assert (response.status, json.loads(text)["results"]) == (200, []), text
    assert '"client";q=36000;w=3600' in response.headers["RateLimit-Policy"]
    response, text = ask(port, "POST", "/api/v1/posts", b"x" * 3_000_000, **mine, Content_Type="text/plain")
    assert response.status == 415, text
    heads = {
        b"J\xc3\xbcrgen": (200, b"results"),
        b"J\xfcrgen": (400, b"invalid_external_id"),
        b"a\r\nSocialSongs-User: b": (400, b"invalid_external_id"),
        b"x" * 10_000: (400, b"invalid_external_id"),
        b"a\0b": (400, b""),
    }
    for sent, expected in heads.items():
        head = f"GET /api/v1/posts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {login}\r\n"
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        connection.sendall(head.encode() + b"SocialSongs-User: " + sent + b"\r\n\r\n")
        status, text = answer(connection)
        connection.close()
        assert (status, expected[1] in text) == (expected[0], True), (sent[:20], text)
    assert [row.external_id for row in ExternalUser.objects.all()] == ["Jürgen"]
    assert ask(port, "DELETE", "/api/v1/user", **mine)[0].status == 204
    call_command("socialsongs_api_key", "revoke", "--client", "Pictogram", stdout=StringIO())
    response, text = ask(port, "GET", "/api/v1/key", Authorization=login)
    assert (response.status, json.loads(text)["code"]) == (401, "key_revoked")
    assert out.getvalue()[16:].strip() not in log.read_text()


@pytest.mark.parametrize(
    "head",
    [
        "POST /health/ HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked",
        "POST /health/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 6",
        f"POST /health/ HTTP/1.1\r\nContent-Length: {'9' * 5000}",
        "GET http://[ HTTP/1.1",
    ],
)
def test_a_head_that_cannot_be_read_is_answered(site, head):
    port, _ = site
    odd = opened(port, f"{head}\r\nHost: localhost\r\n\r\n0\r\n\r\n")
    assert answer(odd)[0] == 400
    odd.close()


def test_the_log_names_the_client_that_a_known_proxy_names(site):
    port, log = site
    told = {"known": "198.51.100.7, 203.0.113.9", "odd": "nonsense"}
    for query, forwarded in told.items():
        ask(port, "GET", f"/accounts/login/?{query}", X_Forwarded_For=forwarded)
        wait_until(lambda query=query: f"?{query}" in log.read_text(), log)
    line = r'^(\S+) - - \[[^]]+\] "GET /accounts/login/\?(\w+) HTTP/1.1" 200 (\d+) '
    found = {query: (client, int(size)) for client, query, size in re.findall(line, log.read_text(), re.MULTILINE)}
    assert {query: client for query, (client, _) in found.items()} == {"known": "203.0.113.9", "odd": "127.0.0.1"}
    assert all(size > 500 for _, size in found.values())


def test_x_forwarded_proto_of_a_known_tls_proxy_counts(tmp_path):
    with started_site(tmp_path, SECURE_SSL="1", BEHIND_TLS_PROXY="1") as (port, _, _):
        statuses = {
            spoken: ask(port, "GET", "/accounts/login/", X_Forwarded_Proto=spoken)[0].status
            for spoken in ("https", "http")
        }
    assert statuses == {"https": 200, "http": 301}


@pytest.mark.parametrize(
    ("allowed", "client"),
    [("127.0.0.1", "203.0.113.9"), ("127.0.0.0/8", "203.0.113.9"), ("*", "203.0.113.9"), ("192.0.2.1", "127.0.0.1")],
)
def test_x_forwarded_for_of_an_unknown_proxy_is_ignored(allowed, client):
    gunicorn = Config()
    gunicorn.set("forwarded_allow_ips", allowed)
    worker = server.BufferingWorker(1, 1, [], None, 30, gunicorn, None)
    assert worker.client("127.0.0.1", "198.51.100.7, 203.0.113.9") == client
    worker.tmp.close()


def test_both_processes_answer_a_dead_one_is_replaced_and_a_stop_is_graceful(tmp_path, alice, photo_bytes):
    body, kind = form(photo_bytes())
    with started_site(tmp_path) as (port, log, started):
        children = psutil.Process(started.pid).children()
        assert len(children) == 2
        children[0].kill()
        wait_until(lambda: len(psutil.Process(started.pid).children()) == 2, log)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), log)
        head = f"Host: localhost\r\nAuthorization: {token(alice)}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        upload = opened(port, f"POST /api/v1/posts HTTP/1.1\r\n{head}")
        upload.sendall(body[:100])
        wait_until(lambda: holds(started.pid, upload), log)  # a connection that still waits in the kernel would be lost
        started.send_signal(signal.SIGTERM)
        wait_until(lambda: not answers(f"http://127.0.0.1:{port}"), log)
        upload.sendall(body[100:])
        assert answer(upload)[0] == 202
        upload.close()
        assert started.wait(20) == 0
    assert Post.objects.count() == 1
