"""Delete old posts with their photos, and old requests by a text alone. Run it every night.

Feedback on their suggestions stays, without the person.
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from socialsongs.conf import config
from socialsongs.models import PostPhoto
from socialsongs.services.forgetting import forget, old_posts, old_texts

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=int, help="delete what is older than this many days (default: the setting RETENTION_DAYS)"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count what would be deleted")

    def handle(self, *args: Any, days: int | None, dry_run: bool, **options: Any) -> None:
        if days is None:
            days = config().RETENTION_DAYS
        if days is None:
            raise CommandError("No retention time is set: set RETENTION_DAYS in SOCIALSONGS, or give --days N.")
        if not 1 <= days <= MOST_DAYS:
            raise CommandError(f"{days} days is not possible: give a number from 1 to {MOST_DAYS}.")
        age = timedelta(days=days)
        if dry_run:
            posts = old_posts(older_than=age)
            photos = PostPhoto.objects.filter(post__in=posts.order_by())
            texts = old_texts(older_than=age)
            self.stdout.write(
                f"{posts.count()} posts with {photos.count()} photos and {texts.count()} texts would be deleted"
            )
        else:
            gone = forget(older_than=age)
            self.stdout.write(f"{gone.posts} posts with {gone.photos} photos and {gone.texts} texts are deleted")
