"""Give the photos of an attached model their posts, oldest key first; they are analysed in the bulk lane.

Rows that have a post already are brought in line, so an interrupted run can start anew; --after skips what is done.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from socialsongs.attached.registry import Attachment, attachment_named, attachments
from socialsongs.attached.sync import MOST_WAITING, sync_each, waiting_in_bulk

ROWS_AT_ONCE = 200
POLL_SECONDS = 1.0


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="the attached model, e.g. photos.Photo")
        parser.add_argument("--after", help="start behind the row with this key")
        parser.add_argument("--rate", type=float, help="most rows in a second (default: no limit)")
        parser.add_argument(
            "--most-waiting",
            type=int,
            default=MOST_WAITING,
            help="pause while so many posts wait for a worker (default: %(default)s)",
        )

    def handle(
        self, *args: Any, model: str, after: str | None, rate: float | None, most_waiting: int, **options: Any
    ) -> None:
        attachment = attachment_named(model)
        if attachment is None:
            known = ", ".join(sorted(each.label for each in attachments())) or "none"
            raise CommandError(f"{model} is not attached. Attached models: {known}.")
        if rate is not None and not rate > 0:
            raise CommandError(f"--rate is {rate:g}: give a number above 0.")
        if most_waiting < 1:
            raise CommandError(f"--most-waiting is {most_waiting}: give 1 or more.")
        last = None if after is None else self._key(attachment, after)
        rows = attachment.rows().order_by("pk")
        total = (rows if last is None else rows.filter(pk__gt=last)).count()
        queued = done = 0
        try:
            with Progress(disable=not self.stdout.isatty()) as progress:
                bar = progress.add_task(attachment.label, total=total)
                while photos := list((rows if last is None else rows.filter(pk__gt=last))[:ROWS_AT_ONCE]):
                    began = time.monotonic()
                    while waiting_in_bulk() >= most_waiting:
                        time.sleep(POLL_SECONDS)
                    queued += sync_each(attachment, photos)
                    last, done = photos[-1].pk, done + len(photos)
                    progress.update(bar, completed=done)
                    if rate is not None:
                        time.sleep(max(0.0, began + len(photos) / rate - time.monotonic()))
        except KeyboardInterrupt:
            raise CommandError(
                f"Stopped after {done} rows; {queued} posts are queued. Go on with --after {last}."
                if done
                else "Stopped before the first row."
            ) from None
        self.stdout.write(f"{done} rows of {attachment.label} are done; {queued} posts are queued")

    def _key(self, attachment: Attachment, text: str) -> Any:
        try:
            return attachment.model._meta.pk.to_python(text)
        except ValidationError as error:
            raise CommandError(f"--after is {text!r}, no key of {attachment.label}: {error.messages[0]}") from error
