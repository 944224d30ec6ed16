"""Uploads of broken files to a running site: each is accepted, or refused by a named status of the caller's fault."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .files import file
from .site import Site
from .stored import problems

REFUSED = {400, 413, 415, 422}
EDGE = "fuzz-5f1c8a2e"


class Uploaded(NamedTuple):
    answers: Counter[str]
    broken: list[str]


class Client:
    """Speaks to the site on one connection."""

    def __init__(self, site: Site, token: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=120)
        self.headers = {"Authorization": f"Token {token}"}

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        for attempt in (1, 2):  # a connection that the server closed while it was idle
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def upload(self, name: str, content: bytes) -> tuple[int, dict[str, Any]]:
        said = name.replace("\0", "%00").replace('"', "%22")
        head = f'--{EDGE}\r\nContent-Disposition: form-data; name="photos"; filename="{said}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{EDGE}--\r\n".encode()
        status, text = self.ask("POST", "/api/v1/posts", body, f"multipart/form-data; boundary={EDGE}")
        return status, json.loads(text)


def upload_files(site: Site, token: str, *, count: int, seed: int) -> Uploaded:
    """Upload ``count`` files, and check each photo that was stored."""
    client, answers, broken = Client(site, token), Counter[str](), []
    for number in range(count):
        kind, name, content = file(number, seed)
        status, body = client.upload(name, content)
        answers[f"{status} {'' if status == 202 else body.get('code')}"] += 1
        if status == 202:
            path = urlsplit(body["photos"][0]["url"]).path
            found = _stored_problems(*client.ask("GET", path), content)
            client.ask("DELETE", urlsplit(body["url"]).path)
        else:
            found = [] if status in REFUSED and body.get("code") else [f"it was answered {status} {body}"]
        broken += [f"{name} ({kind}): {problem}" for problem in found]
        if found and not site.alive:
            raise RuntimeError(f"The site does not answer after {name} ({kind}).")
    client.connection.close()
    return Uploaded(answers, broken)


def _stored_problems(status: int, photo: bytes, upload: bytes) -> list[str]:
    if status != 200:
        return [f"its photo was answered {status}"]
    return [*problems(photo), *(["it was stored as it came"] if photo == upload else [])]
