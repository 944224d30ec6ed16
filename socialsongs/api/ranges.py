"""Parts of a file, for players that start in the middle: Range and If-Range of RFC 9110."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from datetime import datetime
from typing import IO

from django.core.files.storage import Storage
from django.http import FileResponse
from django.utils.http import http_date, parse_http_date_safe
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request

# One range; a request for several is answered with the whole file, as RFC 9110 allows.
RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


class RangeNotSatisfiable(APIException):
    status_code = 416
    default_code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(_("The file has %(size)s bytes, and the requested range begins after them.") % {"size": size})
        self.size = size


class Part:
    """A file object over the next ``size`` bytes of a file, which the response closes."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.left = file, size

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self.left))
        self.left -= len(data)
        return data


def in_ranges(
    request: Request, response: FileResponse, *, file: IO[bytes], storage: Storage, name: str
) -> FileResponse:
    """Cut a response with a whole stored file to the requested range. Raises RangeNotSatisfiable."""
    if not file.seekable():
        return response
    size = storage.size(name)
    modified: datetime | None = None
    with suppress(NotImplementedError):  # some storages do not know it
        modified = storage.get_modified_time(name)
    tag = f'"{hashlib.sha256(f"{name} {size} {modified}".encode()).hexdigest()[:32]}"'
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = tag
    if modified:
        response["Last-Modified"] = http_date(modified.timestamp())
    if request.method != "GET" or not _is_valid(request.headers.get("If-Range", ""), tag, modified):
        return response
    try:
        asked = _asked(request.headers.get("Range", ""), size)
    except RangeNotSatisfiable:
        response.close()
        raise
    if asked is None:
        return response
    first, last = asked
    file.seek(first)
    response.streaming_content = Part(file, last - first + 1)  # type: ignore[assignment]  # what has read() is a file
    response.status_code = 206
    response["Content-Range"] = f"bytes {first}-{last}/{size}"
    response["Content-Length"] = str(last - first + 1)
    return response


def _is_valid(condition: str, tag: str, modified: datetime | None) -> bool:
    """Whether the client's copy is of the present file, by strong ETag or date."""
    if not condition or condition == tag:
        return True
    date = parse_http_date_safe(condition)
    return date is not None and modified is not None and date == int(modified.timestamp())


def _asked(text: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte of a range; None means the whole file, also where the header is malformed."""
    found = RANGE.fullmatch(text.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = (int(number) if number else None for number in found.groups())
    if first is None:  # "-N": the last N bytes
        assert last is not None
        if not last or not size:
            raise RangeNotSatisfiable(size)
        return max(0, size - last), size - 1
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(size)
    return first, size - 1 if last is None else min(last, size - 1)
