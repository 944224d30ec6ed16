"""A person who uses a web server: uploads and reads through HTTP, each in bounded time."""

from __future__ import annotations

import http.client
import json
from typing import Any

from django.test import Client

from socialsongs.models import Post

from .crew import Stopwatch, plain

UPLOAD_SECONDS = 10  # about one, when every server that fails is waited for once
FORGERY_TOKEN = "a" * 32
BOUNDARY = "edge"


class Visitor:
    def __init__(self, port: int, user: Any) -> None:
        client = Client()
        client.force_login(user)
        cookies = {name: cookie.value for name, cookie in client.cookies.items()} | {"csrftoken": FORGERY_TOKEN}
        self.headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": FORGERY_TOKEN,
        }
        self.port = port
        self.slowest = 0.0

    def posts(self, *colours: str) -> list[Post]:
        """Upload a post of one photo for each colour, through the API and the page in turn."""
        return [(self._by_page if number % 2 else self._by_api)(plain(colour)) for number, colour in enumerate(colours)]

    def looks(self, *paths: str) -> None:
        for path in paths:
            assert self._ask("GET", path)[0] in (200, 302), path

    def health(self) -> int:
        return self._ask("GET", "/health/")[0]

    def _by_api(self, photo: bytes) -> Post:
        status, _, text = self._upload("/api/v1/posts", photo)
        assert status == 202, text
        return Post.objects.get(pk=json.loads(text)["id"])

    def _by_page(self, photo: bytes) -> Post:
        status, location, text = self._upload("/", photo)
        assert status == 302, text
        return Post.objects.get(pk=location.rpartition("/")[2])

    def _upload(self, path: str, photo: bytes) -> tuple[int, str, bytes]:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
        body = head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self._ask("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = UPLOAD_SECONDS,
    ) -> tuple[int, str, bytes]:
        watch = Stopwatch()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, self.headers | (headers or {}))
            answer = connection.getresponse()
            found = answer.status, answer.headers.get("Location", ""), answer.read()
        finally:
            connection.close()
        self.slowest = max(self.slowest, watch.seconds)
        assert watch.seconds < seconds, f"{method} {path} took {watch.seconds:.1f} s"
        return found
