"""Imports a catalogue file (JSON Lines): all songs or none, unless bad lines are skipped."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from ..database import atomic, connection
from ..errors import BadLine
from ..language_guess import language_of
from ..models import Song
from .catalogue import sync_embeddings, tidy

# Keys of a line that set the song's field of the same name. ``id`` sets ``source_id``.
FIELDS = (
    "title", "artist", "album", "lyrics", "synced_lyrics", "language", "genre", "moods", "themes", "explicit", "year",
    "preview_url", "preview_start_ms", "preview_length_ms", "artwork_url", "isrc", "musicbrainz_id", "licence",
    "markets", "popularity",
)  # fmt: skip
LISTS = ("moods", "themes", "markets")  # lists of texts; the other keys have one value each
COLUMNS = ", ".join(FIELDS)
FIELD = {column.name: column for column in Song._meta.concrete_fields}
MOST_LINE_CHARACTERS = 1_000_000
CONVERT = "If the file is in Latin-1, convert it: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW."
NULL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # but not the text \u0000, whose backslash is escaped

STAGE = f"""
CREATE TEMPORARY TABLE incoming AS SELECT id, source_id, {COLUMNS} FROM socialsongs_song WITH NO DATA
"""
COPY = f"COPY incoming (id, source_id, {COLUMNS}) FROM STDIN"

# ON CONFLICT finds known songs; the plan of a join would use statistics that a large import makes outdated.
# A row that was inserted just now has xmax 0; an updated row was locked before and has another.
WRITE = f"""
WITH written AS (
    INSERT INTO socialsongs_song AS known (
        id, source, source_id, {COLUMNS}, status, editorial, preview_file, created_at, updated_at)
    SELECT id, %(source)s, source_id, {COLUMNS}, %(status)s, false, '', %(now)s, %(now)s
    FROM incoming
    ON CONFLICT (source, source_id) WHERE NOT (source_id = '') DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in FIELDS)}, updated_at = excluded.updated_at
    WHERE ({", ".join(f"known.{name}" for name in FIELDS)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in FIELDS)})
    RETURNING known.source_id, known.xmax = 0 AS created
)
"""
COUNT = f"{WRITE} SELECT count(*) FILTER (WHERE created), count(*) FILTER (WHERE NOT created) FROM written"
LIST = f"{WRITE} SELECT source_id, created FROM written"
# A longer pending list makes the GIN indexes of the search a third faster to fill. What remains in the pending lists
# slows every search down, so they are flushed afterwards, where this role owns the indexes and so may do it.
LARGE_PENDING = "SET LOCAL gin_pending_list_limit = '64MB'; SET LOCAL work_mem = '64MB'"
FLUSH_PENDING = """
SELECT gin_clean_pending_list(oid) FROM pg_class
WHERE oid IN (
    to_regclass('socialsongs_song_search'), to_regclass('socialsongs_song_names'), to_regclass('socialsongs_song_typos')
) AND pg_has_role(relowner, 'USAGE')
"""


@dataclass
class Notes:
    """Changes to songs that the author of the file should know: how many songs, and the first line of each."""

    first: dict[str, int] = field(default_factory=dict)
    songs: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, notes: Iterable[str]) -> None:
        for note in notes:
            self.first.setdefault(note, number)
            self.songs[note] += 1


@dataclass
class Imported:
    created: int
    updated: int
    unchanged: int
    notes: Notes


def import_songs(
    *,
    lines: Iterable[str],
    source: str,
    status: str,
    skip: Callable[[BadLine], None] | None = None,
    changed: dict[str, bool] | None = None,
) -> Imported:
    """Create songs, or update those with the same source and id; new ones get ``status``.

    With ``skip``, it is called for each bad line and the others are imported. Without it, a bad line raises BadLine
    and nothing is imported. ``changed`` is filled with the ids of the songs that were written, and whether each is new.
    """
    seen: dict[str, int] = {}
    notes = Notes()
    with atomic(), connection().cursor() as cursor:
        cursor.execute(LARGE_PENDING)
        cursor.execute(STAGE)
        with cursor.copy(COPY) as copy:
            for number, song in read_songs(lines, source=source, status=status, skip=skip, notes=notes):
                if song.source_id in seen:
                    again = BadLine(number, "id", f"the same song as in line {seen[song.source_id]} ({song}).")
                    if skip is None:
                        raise again
                    skip(again)
                    continue
                seen[song.source_id] = number
                copy.write_row([song.pk, song.source_id, *(getattr(song, name) for name in FIELDS)])
        now = timezone.now()
        cursor.execute(COUNT if changed is None else LIST, {"source": source, "status": status, "now": now})
        if changed is None:
            created, updated = cursor.fetchone()
        else:
            changed.update(cursor.fetchall())
            created = sum(changed.values())
            updated = len(changed) - created
        cursor.execute(FLUSH_PENDING)
        cursor.execute("DROP TABLE incoming")
        sync_embeddings(songs=Song.objects.filter(source=source, updated_at=now))
    return Imported(created, updated, len(seen) - created - updated, notes)


def read_songs(
    lines: Iterable[str],
    *,
    source: str,
    status: str,
    skip: Callable[[BadLine], None] | None = None,
    notes: Notes | None = None,
) -> Iterator[tuple[int, Song]]:
    """Yield line number and song, tidied and validated. Raises BadLine, unless ``skip`` is given."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            song, changes = _song(_row(number, line), number, source=source, status=status)
        except BadLine as error:
            if skip is None:
                raise
            skip(error)
            continue
        if notes is not None:
            notes.add(number, changes)
        yield number, song


def _row(number: int, line: str) -> dict[str, Any]:
    """Parse a line. Raises BadLine."""
    if len(line) > MOST_LINE_CHARACTERS:
        raise BadLine(number, "", f"has more than {MOST_LINE_CHARACTERS} characters, too many for one song.")
    if "\0" in line or (r"\u0000" in line and NULL.search(line)):
        raise BadLine(number, "", "contains a null character, which is not allowed in texts.")
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise BadLine(number, "", f"is not UTF-8 at its character {error.start + 1}. {CONVERT}") from error
    try:
        row = json.loads(line, parse_constant=_refuse, object_pairs_hook=_object)
        if r"\u" in line:
            json.dumps(row, ensure_ascii=False).encode()  # a lone surrogate escape is not a character
    except (ValueError, RecursionError) as error:
        raise BadLine(number, "", f"is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise BadLine(number, "", "is not a JSON object.")
    return row


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _song(row: dict[str, Any], number: int, *, source: str, status: str) -> tuple[Song, list[str]]:
    """Return the song, tidied and validated, and notes on what was changed. Raises BadLine."""
    try:
        return _checked_song(row, source=source, status=status)
    except ValidationError as error:
        wrong = error.message_dict
        reason = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in wrong.items())
        raise BadLine(number, next(iter(wrong)), reason, title=str(row.get("title"))[:60], errors=wrong) from error


def _checked_song(row: dict[str, Any], *, source: str, status: str) -> tuple[Song, list[str]]:
    """Make the song of a row, and say what was tidied. Raises ValidationError with the errors of each field."""
    song = Song(source=source, status=status)
    given = {name: row[name] for name in ("id", *FIELDS) if row.get(name) not in (None, "")}
    wrong: dict[str, list[str]] = {}
    for name, value in given.items():
        kept_as = "source_id" if name == "id" else name
        try:
            setattr(song, kept_as, _checked(name, value, FIELD[kept_as].to_python))
        except (ValidationError, OverflowError) as error:
            wrong[name] = getattr(error, "messages", [_("This number is too large.")])
    changes: list[str] = []
    try:
        changes = tidy(song=song)
    except ValidationError as error:
        wrong |= error.message_dict
    if "id" not in given:
        song.source_id = hashlib.sha256(f"{song.title}\0{song.artist}".casefold().encode()).hexdigest()[:32]
    try:
        song.clean_fields(exclude={"source_id" if name == "id" else name for name in wrong})
    except ValidationError as error:
        wrong |= error.message_dict
    if wrong:
        raise ValidationError(wrong)
    if "language" not in given:
        song.language = language_of(song.lyrics) or song.language
    return song, changes


def _checked(name: str, value: Any, to_python: Callable[[Any], Any]) -> Any:
    """Return the value of a field from JSON. Raises ValidationError or OverflowError."""
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise ValidationError(_("This must be a list of texts."))
        return value
    if isinstance(value, list | dict):
        raise ValidationError(_("This must be a single value, not a list or an object."))
    if isinstance(value, bool) and name != "explicit":
        raise ValidationError(_("This must not be true or false."))
    found = to_python(value)
    if not all(isfinite(number) for number in (value, found) if isinstance(number, float)):
        raise ValidationError(_("This must be a finite number."))
    return found
