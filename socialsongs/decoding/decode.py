"""From a photo's bytes to a JPEG without metadata: small enough, upright, in sRGB, on white.

The model reads these files. ``recommender/images.py`` makes raw files upright and white as well, for those who rank and
train without the site; this package must not import it.

Whatever is larger than what is kept goes through in bands of rows, so that no second picture of its size is made.
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
# Not to be told from a photo's own data; contains no marker.
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
    """The picture is not what its header says, or not all of it is there."""


class ManyFrames(Exception):
    """More pictures in one file than are accepted."""


def decode(task: Task, content: bytes, profile: bytes) -> tuple[bytes, tuple[int, int]]:
    """The JPEG and its size. Raises Damaged, ManyFrames, MemoryError, or what the decoders raise."""
    if task.format == "HEIF":
        image, profile = _heif(task, content)
    elif task.complete:
        image = _picture(task, content)
    else:
        image = _whole_picture(task, content)
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
        image.draft("RGB", (task.side, task.side))  # JPEG: at a half, a quarter or an eighth where that is enough
        image.load()
        return _shrink(image.size, lambda top, bottom: image.crop((0, top, image.width, bottom)), task.side)


def _whole_picture(task: Task, content: bytes) -> Image.Image:
    """A JPEG without its end: when all pixels are there, it is the same picture whatever follows."""
    image = _picture(task, content + END)
    if image.tobytes() != _picture(task, content + OTHER_END + END).tobytes():
        raise Damaged("pixels are missing")
    return image


def _heif(task: Task, content: bytes) -> tuple[Image.Image, bytes]:
    """Upright already: the decoder applies the file's own rotation, and Exif's is not to be followed beside it."""
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
    """As ``Image.thumbnail`` does, by whole numbers and then exactly, but band by band; in L, LA, RGB, RGBA or CMYK.

    ``rows(top, bottom)``: these rows of the picture.
    """
    width, height = size
    scale = min(1.0, side / max(size))
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    across, down = max(1, int(width / wanted[0] / 2)), max(1, int(height / wanted[1] / 2))
    step = height / down / wanted[1]  # from one row that is wanted to the next, in rows that are left by ``down``
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
    """Eight bits, no palette, transparency as a channel."""
    if image.mode.startswith("I;16"):  # Pillow would cut off everything above 255
        image = image.point(lambda value: value / 256).convert("L")
    if "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    return image.convert({"1": "L", "P": "RGB", "PA": "RGBA", "RGBa": "RGBA"}.get(image.mode, image.mode))


def _on_white(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours first, by the photo's profile, then what is transparent onto white."""
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
            converted = None  # a broken profile, or one for other colours: they stay as they are
        if converted is not None:
            return converted
    return image.convert("RGB")
