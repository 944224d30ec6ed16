"""Queue failed posts, requests or songs again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from socialsongs.models import Post, RecommendationRequest, SongEmbedding, State
from socialsongs.services import queue


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["posts", "requests", "songs"])
        parser.add_argument("--reason", help="only those that failed for this reason, such as attempts_exhausted")

    def handle(self, *args: Any, kind: str, reason: str | None, **options: Any) -> None:
        why = {"reason": reason} if reason else {}
        if kind == "posts":
            count = queue.requeue_posts(posts=Post.objects.filter(**why))
        elif kind == "requests":
            count = queue.requeue_requests(requests=RecommendationRequest.objects.filter(**why))
        else:
            count = queue.queue_songs(rows=SongEmbedding.objects.filter(state=State.FAILED, **why))
        self.stdout.write(f"{count} {kind} are queued again")
