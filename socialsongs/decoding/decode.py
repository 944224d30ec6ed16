"""Converts a photo to a JPEG of limited size: upright, in sRGB, on white, without metadata.

The model reads these files. ``recommender/images.py`` makes raw files upright and white as well, for those who rank and
train without the site; this package must not import it.

Large pictures are shrunk in bands of rows, so that memory never holds a second picture of that size.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from math import ceil, floor

import pi_heif
from pi_heif import open_heif  # type: ignore[attr-defined]
from PIL import Image, ImageCms

from .messages import Task

Image.MAX_IMAGE_PIXELS = None  # the header was checked before
pi_heif.options.DECODE_THREADS = 1
pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False

BAND_PIXELS = 2_000_000
LANCZOS_REACH = 3
# Another ending than END: bytes that resemble a photo's data and contain no marker.
OTHER_END = bytes(value % 251 for value in range(1, 2000, 37)) * 8
END = b"\xff\xd9"

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Damaged(Exception):
    """The picture differs from its header, or is incomplete."""


class ManyFrames(Exception):
    """The file has more frames than are accepted."""


def decode(task: Task, content: bytes, profile: bytes) -> tuple[bytes, tuple[int, int]]:
    """Return the JPEG and its size. Raises Damaged, ManyFrames, MemoryError, or errors of the decoders."""
    if task.format == "HEIF":
        image, profile = _heif(task, content)
    elif task.complete:
        image = _picture(task, content)
    else:
        image = _picture_without_end_marker(task, content)
    if task.orientation in UPRIGHT:
        image = image.transpose(UPRIGHT[task.orientation])
    image = _on_white(image, profile)
    image.info.clear()
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=task.quality, optimize=True)
    return jpeg.getvalue(), image.size


def _picture(task: Task, content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=(task.format,)) as image:
        if image.size != (task.width, task.height):
            raise Damaged("the decoder reads another size than the header says")
        image.draft("RGB", (task.side, task.side))  # JPEG: decodes at 1/2, 1/4 or 1/8 where that is enough
        image.load()
        return _shrink(image.size, lambda top, bottom: image.crop((0, top, image.width, bottom)), task.side)


def _picture_without_end_marker(task: Task, content: bytes) -> Image.Image:
    """Decode a JPEG without its end marker: when all pixels are there, two different endings give the same picture."""
    image = _picture(task, content + END)
    if image.tobytes() != _picture(task, content + OTHER_END + END).tobytes():
        raise Damaged("pixels are missing")
    return image


def _heif(task: Task, content: bytes) -> tuple[Image.Image, bytes]:
    """Return the picture and its profile. The decoder has applied the file's rotation, so Exif's does not count."""
    file = open_heif(content)
    if len(file) > task.frames:
        raise ManyFrames(str(len(file)))
    photo = file[file.primary_index]
    if photo.size[0] * photo.size[1] > task.width * task.height:
        raise Damaged("the decoder reads another size than the header says")
    profile: bytes = photo.info.get("icc_profile") or b""
    data, stride, mode = photo.data, photo.stride, photo.mode

    def rows(top: int, bottom: int) -> Image.Image:
        return Image.frombytes(
            mode, (photo.size[0], bottom - top), data[top * stride : bottom * stride], "raw", mode, stride
        )

    return _shrink(photo.size, rows, task.side), profile


def _shrink(size: tuple[int, int], rows: Callable[[int, int], Image.Image], side: int) -> Image.Image:
    """Shrink as ``Image.thumbnail`` does (by a whole factor, then exactly), but in bands; to L, LA, RGB, RGBA or CMYK.

    ``rows(top, bottom)`` returns these rows of the picture.
    """
    width, height = size
    scale = min(1.0, side / max(size))
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    across, down = max(1, int(width / wanted[0] / 2)), max(1, int(height / wanted[1] / 2))
    step = height / down / wanted[1]  # distance of output rows, in rows that the factor ``down`` leaves
    around = ceil(LANCZOS_REACH * max(1, step)) + 1
    at_once = max(1, int(BAND_PIXELS / width / down / step))
    small: Image.Image | None = None
    for first in range(0, wanted[1], at_once):
        last = min(first + at_once, wanted[1])
        top = max(0, floor(first * step) - around)
        bottom = min(ceil(height / down), ceil(last * step) + around)
        band = _plain(rows(top * down, min(bottom * down, height))).reduce((across, down))
        box = (0, first * step - top, width / across, min(last * step - top, band.height))
        piece = band.resize((wanted[0], last - first), Image.Resampling.LANCZOS, box)
        if small is None:
            small = Image.new(piece.mode, wanted)
        small.paste(piece, (0, first))
    assert small is not None
    return small


def _plain(image: Image.Image) -> Image.Image:
    """Convert to eight bits, without palette, with transparency as a channel."""
    if image.mode.startswith("I;16"):  # Pillow would clip everything above 255
        image = image.point(lambda value: value / 256).convert("L")
    if "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    return image.convert({"1": "L", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, image.mode))


def _on_white(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert the colours by the photo's profile, then put transparent pixels onto white."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = _srgb(image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode)), profile)
    if alpha is None:
        return colours
    white = Image.new("RGB", image.size, "white")
    white.paste(colours, mask=alpha)
    return white


def _srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == "RGB" and image.mode == "L":
                image = image.convert("RGB")
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken or unsuitable profile: keep the colours
        if converted is not None:
            return converted
    return image.convert("RGB")
