"""The header of a photo's file, as jpeg.py, png.py, webp.py and heif.py read it before decoding."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .errors import DamagedPhoto, TooManyParts

# Most segments of a JPEG, chunks of a PNG or WebP, boxes and items of a HEIC. Long metadata has some hundreds.
MAX_PARTS = 200_000
# Longer colour profiles and texts are ignored.
MAX_PROFILE_BYTES = MAX_TEXT_BYTES = 4 * 1024 * 1024

PARTS = {
    "boxes": gettext_lazy("boxes"),
    "chunks": gettext_lazy("chunks"),
    "items": gettext_lazy("items"),
    "scans": gettext_lazy("scans"),
    "segments": gettext_lazy("segments"),
    "tiles": gettext_lazy("tiles"),
}


@dataclass(frozen=True, kw_only=True)
class Header:
    """``content``: the parts of the file that a decoder needs, without texts, metadata and profile. ``memory``: bytes
    that decoding allocates for the picture. ``complete``: False for a JPEG without its end marker."""

    format: str
    width: int
    height: int
    content: bytes
    memory: int
    frames: int = 1
    orientation: int = 1
    profile: bytes = b""
    complete: bool = True


def damaged() -> DamagedPhoto:
    return DamagedPhoto(_("The photo is damaged or incomplete. Upload it again, or export a fresh copy."))


def too_many_parts(parts: str) -> TooManyParts:
    return TooManyParts(
        _("The file is made of more %(parts)s than a photo has. Export a fresh copy of the photo.")
        % {"parts": PARTS[parts]}
    )
