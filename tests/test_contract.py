"""The check of answers against the schema finds answers that do not match."""

import http.client
import json
import threading
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import requests
from rest_framework.response import Response

from socialsongs.api.serializers import SongSerializer
from socialsongs.api.taste import TasteProfile

from .contract import BrokenContract, check

POSTS = "/api/v1/posts"
POST = f"{POSTS}/{uuid.uuid4()}"
JSON = {"Content-Type": "application/json", "ETag": '"x"'}
PROBLEM = {"Content-Type": "application/problem+json"}
EMPTY_PAGE = {"next": None, "previous": None, "results": []}
TASTE = {"offered": False, "enabled": False, "since": None, "chosen": [], "skipped": []}


def problem(status, **more):
    body = {"type": "about:blank", "title": "No", "status": status, "code": "no", "detail": "No.", **more}
    return json.dumps(body).encode()


def as_bytes(body):
    return json.dumps(body).encode()


GOOD = {
    "a page": ("GET", POSTS, 200, JSON, as_bytes(EMPTY_PAGE)),
    "its head": ("HEAD", POSTS, 200, JSON, None),
    "with a query": ("GET", f"{POSTS}?cursor=x#y", 404, PROBLEM, problem(404)),
    "under another prefix": ("GET", f"/music{POSTS}", 200, JSON, as_bytes(EMPTY_PAGE)),
    "no content": ("DELETE", POST, 204, {}, b""),
    "a photo": ("GET", f"{POST}/photos/0", 200, {"Content-Type": "image/jpeg"}, b"\xff\xd8"),
    "a streamed photo": ("GET", f"{POST}/photos/0", 200, {"Content-Type": "image/jpeg"}, None),
    "a wait": ("GET", POSTS, 429, {**PROBLEM, "Retry-After": "3"}, problem(429)),
    "errors by field": ("GET", POSTS, 400, PROBLEM, problem(400, errors={"page_size": ["A number."]})),
    "no such address": ("GET", "/api/v1/nothing", 404, PROBLEM, problem(404)),
    "no such method": ("PUT", POSTS, 405, PROBLEM, problem(405)),
    "not ours": ("GET", "/admin/", 200, {"Content-Type": "text/html"}, b"<html>"),
    "the schema itself": ("GET", "/api/schema/", 200, {"Content-Type": "application/vnd.oai.openapi"}, b"openapi: 3"),
}
BROKEN = {
    "a bare list": ("GET", POSTS, 200, JSON, b"[]"),
    "a field that is not there": ("GET", POSTS, 200, JSON, as_bytes({"next": None, "results": []})),
    "a field too many": ("GET", POSTS, 200, JSON, as_bytes({**EMPTY_PAGE, "count": 0})),
    "a field too many inside": ("GET", "/api/v1/taste", 200, JSON, as_bytes({**TASTE, "chosen": [{"id": "x"}]})),
    "null where none may be": ("GET", "/api/v1/taste", 200, JSON, as_bytes({**TASTE, "enabled": None})),
    "another type": ("GET", "/api/v1/taste", 200, JSON, as_bytes({**TASTE, "since": "yesterday"})),
    "no JSON": ("GET", POSTS, 200, JSON, b"<html>"),
    "a page of HTML": ("GET", POST, 404, {"Content-Type": "text/html"}, b"<html>"),
    "HTML at no address": ("GET", f"{POSTS}/", 404, {"Content-Type": "text/html"}, b"<html>"),
    "an answer at no address": ("GET", f"{POSTS}/", 200, JSON, as_bytes(EMPTY_PAGE)),
    "an answer to no method": ("OPTIONS", POSTS, 200, JSON, b"{}"),
    "a problem as plain JSON": ("GET", POST, 404, JSON, problem(404)),
    "a problem of another shape": ("GET", POST, 404, PROBLEM, as_bytes({"detail": "No."})),
    "a problem of another shape at no address": ("GET", "/api/v1/nothing", 404, PROBLEM, as_bytes({"detail": "No."})),
    "a problem that names another status": ("GET", POST, 404, PROBLEM, problem(400)),
    "a status that is not named": ("GET", POST, 418, PROBLEM, problem(418)),
    "a server error": ("GET", POST, 500, {"Content-Type": "text/html"}, b""),
    "no Retry-After": ("GET", POSTS, 429, PROBLEM, problem(429)),
    "a Retry-After that is no number": ("GET", POSTS, 429, {**PROBLEM, "Retry-After": "soon"}, problem(429)),
    "no Location": ("POST", POSTS, 202, JSON, as_bytes({})),
    "a body where none may be": ("DELETE", POST, 204, JSON, b"{}"),
    "no body": ("GET", POSTS, 200, JSON, b""),
    "another kind of file": ("GET", f"{POST}/photos/0", 200, {"Content-Type": "text/html"}, b"<html>"),
    "another kind of file, streamed": ("GET", f"{POST}/photos/0", 200, {"Content-Type": "text/html"}, None),
}


@pytest.mark.parametrize("answer", GOOD.values(), ids=GOOD)
def test_an_answer_that_matches_the_schema_passes(answer):
    check(*answer)


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_does_not_match_the_schema_fails(answer):
    with pytest.raises(BrokenContract):
        check(*answer)


def test_answers_to_test_clients_are_checked(monkeypatch, client, api_of, alice, make_song):
    make_song()
    monkeypatch.setattr(SongSerializer, "to_representation", lambda serializer, song: {"id": str(song.pk)})
    with pytest.raises(BrokenContract, match="artist"):
        api_of(alice).get("/api/v1/songs")
    client.force_login(alice)
    with pytest.raises(BrokenContract, match="artist"):
        client.get("/api/v1/songs")


def test_a_server_error_is_reported_with_its_cause(monkeypatch, api_of, alice, make_song):
    make_song()
    monkeypatch.setattr(SongSerializer, "to_representation", lambda serializer, song: 1 / 0)
    with pytest.raises(BrokenContract) as caught:
        api_of(alice).get("/api/v1/songs")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("ask", [urllib.request.urlopen, httpx.get, requests.get])
def test_answers_of_a_live_server_are_checked(status, ask):
    class Wrong(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Wrong) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(BrokenContract):
            ask(f"http://127.0.0.1:{server.server_port}{POSTS}", timeout=10)


@pytest.mark.django_db(transaction=True)
def test_a_broken_answer_in_a_thread_fails_the_test_at_its_end(monkeypatch, live_server, broken_contract):
    monkeypatch.setattr(TasteProfile, "authentication_classes", [])
    monkeypatch.setattr(TasteProfile, "permission_classes", [])
    monkeypatch.setattr(TasteProfile, "throttle_classes", [])
    monkeypatch.setattr(TasteProfile, "get", lambda view, request: Response({"wrong": True}))
    with pytest.raises(BrokenContract):
        urllib.request.urlopen(f"{live_server.url}/api/v1/taste", timeout=10)
    assert "wrong" in str(broken_contract.pop())


@pytest.mark.django_db(transaction=True)
def test_a_checked_answer_can_still_be_read(live_server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{live_server.url}{POSTS}", timeout=10)
    assert json.load(caught.value)["code"] == "not_authenticated"
    connection = http.client.HTTPConnection(live_server.thread.host, live_server.thread.port, timeout=10)
    for _ in range(2):  # on one connection
        connection.request("GET", POSTS)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (401, "not_authenticated")
    connection.close()
