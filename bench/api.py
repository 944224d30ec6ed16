"""Requests a second of ``GET /api/v1/posts/{id}`` with 20 suggestions, beside a bare DRF view of the same server.

The bare view answers with a constant of the same size, by the same authentication and middleware; it has no query, no
rate and no rights. Both are asked in turns, over connections that stay open, so that other load affects both. The last
line is JSON; ``vs_bare_view`` is the median of the turns.

python bench/api.py [--turns N] [--seconds S] [--clients N]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from servers import ROOT, bench_folder, environment, own_servers
from slow_connections import web
from upload import free_port

TARGET = 0.5
SUGGESTIONS = 20
LINES = 40


def fill() -> tuple[str, str]:
    """Write a post as a worker leaves it; return its id and a token of its owner."""
    from django.contrib.auth import get_user_model
    from django.core.files.base import ContentFile
    from django.core.management import call_command
    from django.utils import timezone

    from socialsongs.models import PhotoAnalysis, PhotoSubject, Post, PostPhoto, RecommendationRequest, Song, Suggestion
    from socialsongs.services.releases import register
    from socialsongs.site.tokens import issue

    call_command("migrate", verbosity=0)
    card = json.loads((ROOT / "recommender" / "releases" / "starter" / "card.json").read_text())
    release = register(name="bench", sha256="0" * 64, card=card)
    owner = get_user_model().objects.create_user("poster")
    now = timezone.now()
    post = Post.objects.create(owner=owner, caption="By the sea", state="ready", finished_at=now)
    photo = PostPhoto(post=post, width=1600, height=1200)
    photo.image.save("photo.jpg", ContentFile(b"never read"), save=False)
    photo.save()
    names = ["harbor", "boat", "sea", "rope", "gull", "blue", "person", "water"]
    tags = [{"name": name, "kind": "object", "score": 0.5, "box": [0.1, 0.2, 0.6, 0.8]} for name in names]
    subject = PhotoSubject.objects.create(photo=photo, field="image")
    PhotoAnalysis.objects.create(subject=subject, release=release, tags=tags, embedding=[0.0] * 128)
    asked = RecommendationRequest.objects.create(
        post=post, is_default=True, state="ready", release=release, finished_at=now, confident=True
    )
    lyrics = [f"The tide comes in for the {number}th time" for number in range(LINES)]
    for rank in range(1, SUGGESTIONS + 1):
        song = Song.objects.create(
            title=f"Song {rank}", artist=f"Artist {rank}", lyrics="\n".join(lyrics), status="published", genre="folk"
        )
        Suggestion.objects.create(
            request=asked, song=song, release=release, rank=rank, score=1.0 / rank, confidence=0.5, line=lyrics[rank],
            line_index=rank, reasons=[{"tag": name, "kind": "object", "weight": 0.5} for name in names[:3]],
        )  # fmt: skip
    return str(post.pk), issue(user=owner, name="bench", scopes=["read"], days=1)[1]


class Client:
    """A connection that stays open."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Authorization": f"Token {token}"}

    def get(self, path: str) -> bytes:
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}: {body[:300]!r}")
        return body

    def ask_until(self, path: str, deadline: float) -> int:
        asked = 0
        while time.monotonic() < deadline:
            self.get(path)
            asked += 1
        return asked


def rate(clients: list[Client], threads: ThreadPoolExecutor, path: str, seconds: float) -> float:
    """Return requests a second."""
    began = time.monotonic()
    asked = sum(threads.map(lambda client: client.ask_until(path, began + seconds), clients))
    return asked / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn, for each of the two (default 2)")
    parser.add_argument("--clients", type=int, default=4, help="connections (default 4)")
    options = parser.parse_args()
    folder = bench_folder()
    os.environ |= environment(folder) | {
        "DJANGO_SETTINGS_MODULE": "bench.bare.settings",
        "SOCIALSONGS_READ_RATE": "100000000/hour",
        "BARE_ANSWER": str(folder / "answer.json"),
        "PYTHONPATH": str(ROOT),
    }
    with own_servers(folder):
        import django

        django.setup()
        post, token = fill()
        subprocess.run(
            [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"], cwd=ROOT, check=True,
            env=os.environ | {"STATIC_ROOT": str(folder / "static")},
        )  # fmt: skip
        print(json.dumps(measure(options, post, token, folder)))


def measure(options: argparse.Namespace, post: str, token: str, folder: Path) -> dict[str, Any]:
    from socialsongs.site.processes import WEB

    port = free_port()
    path = f"/api/v1/posts/{post}"
    # One process: a ratio of processor times of one program, on any number of cores.
    command = [*WEB[:-1], "--workers", "1", "--access-logfile", "/dev/null", WEB[-1]]
    with web(command, port, folder / "web.log"), ThreadPoolExecutor(options.clients) as threads:
        clients = [Client(port, token) for _ in range(options.clients)]
        answer = clients[0].get(path)
        Path(os.environ["BARE_ANSWER"]).write_bytes(answer)
        bare = clients[0].get("/bare")
        if len(json.loads(answer)["suggestions"]) != SUGGESTIONS or len(bare) != len(answer):
            raise SystemExit("The two answers are not alike.")
        rates: dict[str, list[float]] = {path: [], "/bare": []}
        for _ in range(options.turns):
            for each, found in rates.items():
                found.append(rate(clients, threads, each, options.seconds))
    ratios = [ours / bare for ours, bare in zip(*rates.values(), strict=True)]
    ratio = statistics.median(ratios)
    return {
        "bytes": len(answer),
        "requests_per_s": round(statistics.median(rates[path]), 1),
        "bare_requests_per_s": round(statistics.median(rates["/bare"]), 1),
        "vs_bare_view": round(ratio, 3),
        "vs_bare_view_worst": round(min(ratios), 3),
        "target": TARGET,
        "reached": ratio >= TARGET,
    }


if __name__ == "__main__":
    main()
