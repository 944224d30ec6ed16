"""What happens to an uploaded photo before anything is stored: the checklist, in order.

Size, true type from the bytes, pixels, frames, full decode, orientation, colour, then a fresh JPEG
without EXIF, GPS or any other byte of the upload. Each refusal is an error of its own.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from pi_heif import register_heif_opener  # type: ignore[attr-defined]
from PIL import Image, ImageCms, ImageOps

from .conf import MIB, config
from .errors import SocialSongsError

register_heif_opener()

# Decoders we let near an upload. (MPO, a JPEG with a second picture inside, comes in as JPEG.)
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
MIN_SIDE = 32

# What Pillow and its plugins raise for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error)


class IntakeError(SocialSongsError):
    """The photo was refused; nothing was stored."""


class EmptyFile(IntakeError):
    code = "empty_file"


class FileTooLarge(IntakeError):
    code = "file_too_large"


class NotAPhoto(IntakeError):
    code = "not_a_photo"


class TooManyPixels(IntakeError):
    code = "too_many_pixels"


class TooSmall(IntakeError):
    code = "too_small"


class TooManyFrames(IntakeError):
    code = "too_many_frames"


class DamagedPhoto(IntakeError):
    code = "damaged_photo"


@dataclass(frozen=True)
class CleanPhoto:
    """A photo that is safe to keep: JPEG bytes, upright, sRGB, no metadata; size in pixels."""

    jpeg: bytes
    width: int
    height: int


def clean_photo(upload: UploadedFile[Any]) -> CleanPhoto:
    """Check and re-encode one upload. Raises the IntakeError that says why not."""
    limits = config()
    if not upload.size:
        raise EmptyFile("The file is empty. Choose the photo again.")
    if upload.size > limits.MAX_UPLOAD_BYTES:
        raise FileTooLarge(
            f"The file has {upload.size / MIB:.1f} MB; at most {limits.MAX_UPLOAD_BYTES / MIB:.0f} MB are accepted. "
            "Send a smaller copy of the photo."
        )
    upload.seek(0)
    assert upload.file is not None
    with _open(upload.file) as image:
        _check_size(image)
        _check_frames(image)
        upright = _decode(image)
    jpeg = io.BytesIO()
    upright.save(jpeg, "JPEG", quality=limits.JPEG_QUALITY, optimize=True)
    return CleanPhoto(jpeg.getvalue(), *upright.size)


def _open(file: IO[bytes]) -> Image.Image:
    """Read the header only. The client's name and content type are not looked at."""
    try:
        return Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(_pixels_text()) from error
    except DAMAGE as error:
        raise NotAPhoto(
            "This is not a JPEG, PNG, WebP or HEIC photo, whatever its name says. Save it in one of these formats."
        ) from error


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > config().MAX_PIXELS:
        raise TooManyPixels(f"The photo is {image.width} x {image.height}. {_pixels_text()}")
    if min(image.size) < MIN_SIDE:
        raise TooSmall(
            f"The photo is {image.width} x {image.height} pixels; each side needs at least {MIN_SIDE}. "
            "Choose a larger one."
        )


def _pixels_text() -> str:
    return f"At most {config().MAX_PIXELS / 1e6:.0f} million pixels are accepted. Send a smaller copy of the photo."


def _check_frames(image: Image.Image) -> None:
    try:
        frames = getattr(image, "n_frames", 1)
    except DAMAGE as error:
        raise DamagedPhoto(_DAMAGED) from error
    if frames > config().MAX_FRAMES:
        raise TooManyFrames(
            f"The picture has {frames} frames; at most {config().MAX_FRAMES} are accepted. Send a still photo."
        )


_DAMAGED = "The photo is damaged or not complete. Upload it again, or export a fresh copy."


def _decode(image: Image.Image) -> Image.Image:
    """First frame, shrunk, upright, RGB in sRGB."""
    side = config().STORED_LONG_SIDE
    try:
        image.draft("RGB", (side, side))  # JPEG: decode at a half, a quarter or an eighth where that is enough
        image.load()
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        return _to_srgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(_pixels_text()) from error
    except DAMAGE as error:
        raise DamagedPhoto(_DAMAGED) from error


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba)
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile: the colours as they are
        image = converted or image
    plain = Image.new("RGB", image.size)  # a fresh image has none of the upload's metadata
    plain.paste(image.convert("RGB"))
    return plain
