"""What a request's head must say of its body before any of it is read, and what can be wrong with it in reading."""

from __future__ import annotations

import codecs

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from .conf import MIB, config
from .errors import (
    BodyTooLarge,
    LengthRequired,
    SocialSongsError,
    TooManyFields,
    TooManyPhotos,
    UnknownBodyEncoding,
    UnreadableBody,
)

# Text: JSON, a form, or what comes beside the photos.
TEXT_BYTES = 2 * MIB
# From somebody who has not logged in: a login form is far smaller.
STRANGER_BYTES = 64 * 1024
# As Python calls them. Others of its codecs turn no bytes into text, or into something else than they say.
CHARSETS = {"utf-8", "ascii", "iso8859-1"}


def photo_bytes() -> int:
    """The most that an upload can have."""
    limits = config()
    return limits.MAX_UPLOAD_BYTES * limits.MAX_PHOTOS_PER_POST + TEXT_BYTES


def check_body(request: HttpRequest, *, most: int) -> None:
    """Raises BodyRefused; then none of the body needs to be read."""
    known = _is_accepted((request.content_params or {}).get("charset", "utf-8"))
    if not known:
        request.encoding = "utf-8"  # else the query would be read in this charset, too
    if request.method in ("GET", "HEAD"):
        return
    if not known:
        raise UnknownBodyEncoding("Text is read as UTF-8. Send the body in it, and no other charset in Content-Type.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnknownBodyEncoding("Compressed bodies are not read. Send the body as it is, without Content-Encoding.")
    length = request.headers.get("Content-Length") or "0"
    if "Transfer-Encoding" in request.headers or not (length.isascii() and length.isdigit()):
        raise LengthRequired("Say with Content-Length how long the body is; it cannot be sent in chunks.")
    if len(length) > 18 or int(length) > most:
        raise BodyTooLarge(f"The request is larger than {most / MIB:.1f} MB. Send less at once.")


def _is_accepted(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in CHARSETS
    except (LookupError, ValueError):
        return False


# What Django raises while it reads.
READING_ERRORS = (
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
    MultiPartParserError,
    UnreadablePostError,
    BadRequest,
)


def body_error(error: Exception) -> SocialSongsError:
    """One of READING_ERRORS as one of ours."""
    match error:
        case RequestDataTooBig():
            return BodyTooLarge("The text in the request is too long. Send less at once.")
        case TooManyFieldsSent():
            return TooManyFields("There are too many fields or parameters in the request. Send fewer.")
        case TooManyFilesSent():
            most = config().MAX_PHOTOS_PER_POST
            return TooManyPhotos(f"There are too many files in the request; a post holds at most {most} photos.")
    return UnreadableBody(
        "The body cannot be read, or did not come whole. Check how it was put together; send it again."
    )
