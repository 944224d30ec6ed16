"""Brings previews that were stored before clips were checked in line with those of today."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from django.db.models import Q, QuerySet

from ..audio import TYPES, ending_of
from ..database import atomic
from ..models import Song
from .files import delete_file


class Changed(NamedTuple):
    """``name``: the file's earlier name. ``now``: its name, or empty when it was no clip, or there was no file."""

    song: Song
    name: str
    now: str


def odd_previews() -> QuerySet[Song]:
    """Return the songs whose preview is stored under the extension of something else than a clip."""
    endings = Q()
    for ending in TYPES:
        endings |= Q(preview_file__iendswith=ending)
    return Song.objects.exclude(preview_file="").exclude(endings)


def rename_previews() -> Iterator[Changed]:
    """Store each of them under the extension of its content, and remove what is no clip; yield what changed."""
    for song in odd_previews().iterator():
        with atomic():
            yield Changed(song, str(song.preview_file.name), _renamed(song))


def _renamed(song: Song) -> str:
    before = Song.objects.only("preview_file").get(pk=song.pk).preview_file
    try:
        with before.storage.open(str(before.name)) as file:
            if ending_of(cast(BinaryIO, file)) is not None:
                song.preview_file.save("", file, save=False)
            else:
                song.preview_file = ""
    except FileNotFoundError:
        song.preview_file = ""
    Song.objects.filter(pk=song.pk).update(preview_file=song.preview_file.name or "")
    delete_file(file=before)
    return str(song.preview_file.name or "")
