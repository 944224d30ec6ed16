"""Read input files: JSON Lines and text, UTF-8 with or without a byte order mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class InputError(Exception):
    """A file or a folder cannot be used; the message names it, and the line."""


def json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield for each line of a JSON Lines file its file and number, and its value. Raises InputError."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error}); give one JSON object a line") from error
        yield where, row


def read_text(path: Path) -> str:
    """Return the content of a text file. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: {error}") from error
