"""No log and no report of an error has what people wrote, how they named files, where they were, or a secret."""

import struct
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from socialsongs import dispatch
from socialsongs.models import Post, SongEmbedding, State

from . import photos
from .accounts import token_of
from .contract import BrokenContract
from .fuzz.site import running_site, running_worker
from .fuzz.uploads import Client as Visitor
from .processes import wait_until

MARKS = {
    "file": "mara-at-home-7731",
    "caption": "caption-of-mara-7732",
    "lyrics": "quillwort seven three three",
    "text": "upbeat-of-mara-7734",
    "password": "password-of-mara-7735",
    "key": "k7736-of-mara-0123456789",
    "place": "48.8583773600",
}


def photo():
    """A photo with the mark of the place in its Exif."""
    entries = [(0x010E, 2, len(MARKS["place"]) + 1, struct.pack("<I", 100)), photos.ROTATED]
    exif = photos.tiff(entries).ljust(100, b"\0") + MARKS["place"].encode() + b"\0"
    return photos.with_segments(photos.written(photos.slope(), "JPEG"), photos.exif(exif))


def form(content, **fields):
    edge = "edge-of-the-form"
    said = f"--{edge}\r\nContent-Disposition: form-data; name="
    parts = [f'{said}"{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    head = f'{said}"photos"; filename="{MARKS["file"]}.jpg"\r\n\r\n'
    body = "".join([*parts, head]).encode() + content + f"\r\n--{edge}--\r\n".encode()
    return body, f"multipart/form-data; boundary={edge}"


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_the_loop_leaves_nothing_private_in_any_log(tmp_path, alice, make_song):
    call_command("socialsongs_releases", "register")
    make_song(lyrics=f"{MARKS['lyrics']}\nThe tide comes in")
    make_song("In a language that is refused", lyrics=f"{MARKS['lyrics']} ist nicht und der", language="de")
    token = token_of(alice)
    with running_site(tmp_path) as site, running_worker(tmp_path):
        dispatch.send(dispatch.DRAIN_BULK)
        visitor = Visitor(site, token)
        for content, status in ((photo(), 202), (b"no photo", 422), (photo()[:700], 422)):
            answer = visitor.ask("POST", "/api/v1/posts", *form(content, caption=MARKS["caption"]))
            assert answer[0] == status
        post, log = Post.objects.get(), tmp_path / "worker.log"
        wait_until(lambda: Post.objects.get().state == State.READY, log)
        wait_until(lambda: not SongEmbedding.objects.exclude(state=State.READY).exists(), log)
        asked = f"/api/v1/posts/{post.pk}/recommendations"
        json = "application/json"
        assert visitor.ask("POST", asked, b'{"text": "%b"}' % MARKS["text"].encode(), json)[0] in (200, 202)
        assert visitor.ask("POST", asked, b'{"%b": 1}' % MARKS["text"].encode(), json)[0] == 400
        stranger = Visitor(site, MARKS["key"])
        assert stranger.ask("GET", "/api/v1/posts")[0] == 401
        login = urlencode({"username": "alice", "password": MARKS["password"]}).encode()
        assert visitor.ask("POST", "/accounts/login/", login, "application/x-www-form-urlencoded")[0] == 403
        for each in (visitor, stranger):
            each.connection.close()
    logs = {file.name: file.read_text(errors="replace") for file in tmp_path.glob("*.log")}
    assert f"POST {asked} " in logs["web.log"]  # it has a line for each request
    assert "is ready" in logs["worker.log"]
    for name, text in logs.items():
        for what, mark in {**MARKS, "token": token}.items():
            assert mark not in text, (name, what)


@pytest.mark.django_db
@pytest.mark.parametrize("door", ["api", "page"])
def test_a_mailed_report_of_an_error_has_nothing_private(settings, mailoutbox, monkeypatch, alice, door):
    def broken(**_):
        raise RuntimeError("It broke")

    settings.ADMINS = [("Desk", "desk@example.org")]
    client = Client(raise_request_exception=False)
    fields = {"caption": MARKS["caption"], "photos": SimpleUploadedFile(f"{MARKS['file']}.jpg", photo())}
    monkeypatch.setattr(f"socialsongs.{'api.posts' if door == 'api' else 'web.views'}.create_post", broken)
    token = token_of(alice)
    if door == "api":
        with suppress(BrokenContract):  # the schema has no 500
            client.post("/api/v1/posts", fields, headers={"Authorization": f"Token {token}"})
    else:
        client.force_login(alice)
        token = client.cookies["sessionid"].value
        assert client.post("/", fields).status_code == 500
    (mail,) = mailoutbox
    assert "It broke" in mail.body
    for mark in (*MARKS.values(), token):
        assert mark not in mail.body
