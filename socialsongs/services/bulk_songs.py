"""Writes many songs at once by the ids that their source gives them, with a result for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..database import atomic
from ..errors import BadLine
from ..models import ApiClient, Song
from .catalogue import set_status
from .import_songs import FIELDS, MOST_LINE_CHARACTERS, NULL, import_songs, read_songs
from .song_sources import check_source, take_source

MOST_SONGS = 1000

KEYS = ("id", *FIELDS)
MOST_WRONG_KEYS = 3  # that the result of a row names
NO_ID = gettext_lazy("Give the song's id in its source: a text without control characters, or a whole number.")


class Result(NamedTuple):
    """What became of a row: its ``id`` in the source, our song, and for a refused row the errors of each field."""

    id: str | None
    result: str
    song: UUID | None = None
    errors: Mapping[str, list[str]] = {}


def upsert_songs(*, rows: Sequence[Any], source: str, status: str, client: ApiClient | None) -> list[Result]:
    """Create songs, or update those with the same source and id; return a result for each row, in order.

    A row has keys of a line of a catalogue file (``import_songs``) and no others, and must have an ``id``. Its result
    is "created", "updated", "unchanged" or "refused"; a refused row leaves the others as they are. New songs get
    ``status``. ``client``: the API client that sends the rows; a source without songs becomes its own.
    Raises SourceTaken.
    """
    refused: dict[int, dict[str, list[str]]] = {}
    changed: dict[str, bool] = {}

    def refuse(bad: BadLine) -> None:
        refused[bad.line] = _errors(bad)

    ids = [_external_id(row) for row in rows]
    first: dict[str | None, int] = {}
    lines = []
    for number, (row, known_as) in enumerate(zip(rows, ids, strict=True), start=1):
        problems: dict[str, list[str]] = {}
        line = ""
        try:
            line = json.dumps(row)
        except RecursionError:
            problems = {"non_field_errors": [_("This is nested too deeply.")]}
        else:
            if whole := _wrong_as_a_whole(row, line):
                problems = {"non_field_errors": [whole]}
        if isinstance(row, dict):
            problems |= _wrong_keys(row)
            if known_as is None:
                problems["id"] = [str(NO_ID)]
            elif first.setdefault(known_as, number) < number:
                problems["id"] = [_("Row %(row)s has the same id.") % {"row": first[known_as]}]
        if problems:
            refused[number], line = _errors_of(line, source) | problems, ""
        lines.append(line)  # an empty line is no song
    with atomic():
        if client is not None:
            take_source(name=source, client=client)
        import_songs(lines=lines, source=source, status=status, skip=refuse, changed=changed)
        songs = _songs_by_id(source, [known_as for known_as in ids if known_as])
    return [
        Result(known_as, "refused", None, refused[number])
        if number in refused
        else Result(known_as, _word(changed.get(str(known_as))), songs.get(str(known_as)))
        for number, known_as in enumerate(ids, start=1)
    ]


def _wrong_as_a_whole(row: Any, line: str) -> str:
    """Return for people what is wrong with a row, whatever its keys; empty when nothing is."""
    if not isinstance(row, dict):
        return _("This is not a JSON object.")
    if len(line) > MOST_LINE_CHARACTERS:
        return _("This is too long for one song: send at most %(most)s characters.") % {"most": MOST_LINE_CHARACTERS}
    if NULL.search(line):
        return _("Null characters are not allowed.")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return _("A text has half of a surrogate pair, which is no character.")
    return ""


def _wrong_keys(row: dict[Any, Any]) -> dict[str, list[str]]:
    text = _("There is no such key. Known: %(known)s.") % {"known": ", ".join(KEYS)}
    return {name: [text] for name in [name for name in row if name not in KEYS][:MOST_WRONG_KEYS]}


def _errors_of(line: str, source: str) -> dict[str, list[str]]:
    """Return what else is wrong with a line that is not written."""
    found: list[BadLine] = []
    list(read_songs([line], source=source, status=Song.Status.DRAFT, skip=found.append))
    return {name: texts for bad in found for name, texts in _errors(bad).items()}


def _errors(bad: BadLine) -> dict[str, list[str]]:
    return {("id" if name == "source_id" else name): list(texts) for name, texts in bad.errors.items()}


def _external_id(row: Any) -> str | None:
    found = row.get("id") if isinstance(row, dict) else None
    if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).isprintable():
        return None
    return str(found) or None


def _word(is_new: bool | None) -> str:
    return "unchanged" if is_new is None else "created" if is_new else "updated"


def _songs_by_id(source: str, ids: Sequence[str]) -> dict[str, UUID]:
    return dict(Song.objects.filter(source=source, source_id__in=ids).values_list("source_id", "pk"))


def set_status_by_id(*, ids: Sequence[str], source: str, status: str, client: ApiClient | None) -> list[Result]:
    """Set the status of songs by their ids in the source; the results are "updated", "unchanged" or "unknown".

    ``client``: the API client that asks for it. Raises SourceTaken.
    """
    with atomic():
        if client is not None:
            check_source(name=source, client=client)
        songs = _songs_by_id(source, ids)
        rows = Song.objects.select_for_update().filter(pk__in=songs.values()).exclude(status=status)
        changed = set(rows.order_by("pk").values_list("pk", flat=True))
        set_status(songs=list(songs.values()), status=status)
    return [
        Result(known_as, "unknown")
        if (song := songs.get(known_as)) is None
        else Result(known_as, "updated" if song in changed else "unchanged", song)
        for known_as in ids
    ]
