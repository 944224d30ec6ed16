"""Suggest songs for photo files, without posting them. Prints tables, or JSON."""

from __future__ import annotations

import json as jsonlib
import sys
from argparse import ArgumentParser
from io import BytesIO
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table
from rich.text import Text

import workers.installed  # noqa: F401  (says what to install, before the imports of PyTorch fail)
from recommender.card import ReleaseError
from recommender.images import load_photo
from recommender.results import PhotoView
from socialsongs.conf import config
from socialsongs.errors import DecodersUnavailable
from socialsongs.intake import IntakeError, clean_photo
from socialsongs.models import SongEmbedding, State, Suggestion
from socialsongs.reasons import describe_notice
from socialsongs.selectors.releases import active_release
from workers.inference.loading import LoadedRelease, load_registered
from workers.lanes.songs import encode_songs
from workers.suggesting.query import SongQuery
from workers.suggesting.suggest import SuggestionList, suggest_songs


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "photo", nargs="+", type=Path, help="JPEG, PNG, WebP or HEIC files; they pass the same checks as uploads"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
        parser.add_argument("--limit", type=int, default=5, help="songs per photo (default 5)")

    def handle(self, *args: Any, photo: list[Path], json: bool, limit: int, **options: Any) -> None:
        release = active_release()
        if release is None:
            raise CommandError("No model release is active. Run `manage.py socialsongs_releases register` first.")
        try:
            loaded = load_registered(release)
        except ReleaseError as error:
            raise CommandError(str(error)) from error
        _encode_queued_songs(loaded)
        results: list[dict[str, Any]] = []
        refused = 0
        for path in photo:
            try:
                with path.open("rb") as file:
                    cleaned = clean_photo(File(file))
            except (IntakeError, DecodersUnavailable, OSError) as error:
                self.stderr.write(f"{path}: {error}")
                refused += 1
                continue
            view = loaded.model.analyse([load_photo(BytesIO(cleaned.jpeg))])[0]
            suggestion_list = suggest_songs(loaded, SongQuery([view], {"limit": limit}))
            if json:
                results.append(_as_json(path, view, suggestion_list))
            else:
                _print(path, view, suggestion_list)
        if json:
            self.stdout.write(jsonlib.dumps(results, indent=2, ensure_ascii=False))
        if refused:
            sys.exit(1)


def _encode_queued_songs(loaded: LoadedRelease) -> None:
    """Encode the songs that wait for a worker, so that the command works before any worker runs."""
    while SongEmbedding.objects.filter(release=loaded.release, state=State.QUEUED).exists():
        if not encode_songs(loaded, limit=config().BULK_BATCH):
            return


def _as_json(path: Path, view: PhotoView, suggestion_list: SuggestionList) -> dict[str, Any]:
    return {
        "photo": str(path),
        "tags": [{"name": tag.name, "kind": tag.kind, "score": tag.score, "box": tag.box} for tag in view.tags],
        "confident": suggestion_list.confident,
        "notice": describe_notice(suggestion_list.notice),
        "suggestions": [
            {
                "rank": suggestion.rank,
                "origin": suggestion.origin,
                "score": round(suggestion.score, 4),
                "confidence": round(suggestion.confidence or 0.0, 4),
                "song": {
                    "id": str(suggestion.song.pk),
                    "title": suggestion.song.title,
                    "artist": suggestion.song.artist,
                },
                "line": suggestion.line,
                "reasons": suggestion.reasons,
            }
            for suggestion in suggestion_list.suggestions
        ],
    }


def _print(path: Path, view: PhotoView, suggestion_list: SuggestionList) -> None:
    console = Console()
    tags = ", ".join(f"{tag.name} {tag.score:.2f}" for tag in view.tags) or "none"
    title = path.name if suggestion_list.confident else f"{path.name}: no song fits clearly"
    table = Table("", "song", "line", "reasons", "confidence", title=Text(title), caption=Text(f"tags: {tags}"))
    for suggestion in suggestion_list.suggestions:
        reasons = [reason["tag"] for reason in suggestion.reasons]
        origin = [] if suggestion.origin == Suggestion.Origin.MATCH else [f"({suggestion.origin})"]
        table.add_row(
            str(suggestion.rank),
            Text(f"{suggestion.song.title}\n{suggestion.song.artist}"),
            Text(suggestion.line),
            Text(", ".join(reasons + origin)),
            "" if suggestion.confidence is None else f"{suggestion.confidence:.0%}",
        )
    console.print(table)
    if notice := describe_notice(suggestion_list.notice):
        console.print(Text(notice["detail"]))
