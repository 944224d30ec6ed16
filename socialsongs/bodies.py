"""Checks a request's headers before its body is read, and names the errors of reading the body."""

from __future__ import annotations

import codecs

from django.core.exceptions import BadRequest, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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

# Largest text: JSON, a form, or the fields beside the photos.
TEXT_BYTES = 2 * MIB
# Largest body of somebody who is not logged in; a login form is far smaller.
STRANGER_BYTES = 64 * 1024
# By their names in Python. Some of Python's other codecs do not decode bytes to text; JSON is UTF-8 (RFC 8259).
CHARSETS = {"utf-8", "ascii", "iso8859-1"}
JSON_CHARSETS = {"utf-8", "ascii"}


def photo_bytes() -> int:
    """Return the size of the largest upload, in bytes."""
    limits = config()
    return limits.MAX_UPLOAD_BYTES * limits.MAX_PHOTOS_PER_POST + TEXT_BYTES


def check_body(request: HttpRequest, *, most: int) -> None:
    """Check the headers for a body of at most ``most`` bytes. Raises BodyRefused, before any of the body is read."""
    accepted = JSON_CHARSETS if request.content_type == "application/json" else CHARSETS
    known = _codec((request.content_params or {}).get("charset", "utf-8")) in accepted
    if not known:
        request.encoding = "utf-8"  # otherwise Django would decode the query in this charset, too
    if request.method in ("GET", "HEAD"):
        return
    if not known:
        raise UnknownBodyEncoding(
            _("The charset is not supported. Send the body as UTF-8, with no other charset in Content-Type.")
        )
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnknownBodyEncoding(
            _("Compressed bodies are not accepted. Send the body uncompressed, without Content-Encoding.")
        )
    length = request.headers.get("Content-Length") or "0"
    if "Transfer-Encoding" in request.headers or not (length.isascii() and length.isdigit()):
        raise LengthRequired(_("Send the length of the body in Content-Length; chunked bodies are not accepted."))
    if len(length) > 18 or int(length) > most:
        raise BodyTooLarge(
            _("The request is larger than %(most)s MB. Send less at once.")
            % {"most": number_format(round(most / MIB, 1), 1)}
        )


def _codec(charset: str) -> str:
    """Return Python's name of a charset; empty where there is none."""
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        return ""


# Errors that Django raises while it reads a body.
READING_ERRORS = (
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
    MultiPartParserError,
    UnreadablePostError,
    BadRequest,
)


def body_error(error: Exception) -> SocialSongsError:
    """Return the error of this package for one of READING_ERRORS."""
    match error:
        case RequestDataTooBig():
            return BodyTooLarge(_("The text in the request is too long. Send less at once."))
        case TooManyFieldsSent():
            return TooManyFields(_("There are too many fields or parameters in the request. Send fewer."))
        case TooManyFilesSent():
            most = config().MAX_PHOTOS_PER_POST
            return TooManyPhotos(
                ngettext(
                    "There are too many files in the request; a post holds %(most)d photo.",
                    "There are too many files in the request; a post holds at most %(most)d photos.",
                    most,
                )
                % {"most": most}
            )
    return UnreadableBody(_("The body cannot be read, or is incomplete. Check its format and send it again."))
