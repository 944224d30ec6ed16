"""From a photo file to the tensor that the tagger takes; the release's card records the preprocessing."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from PIL import ExifTags, Image
from torch import Tensor
from torchvision.transforms.functional import normalize, pil_to_tensor

# What makes a photo upright, by the orientation in its Exif. Not ImageOps.exif_transpose: it writes all the other
# Exif entries again, and raises errors when one of them is invalid.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(Exception):
    """The file is not a readable photo; trying again will not help."""


@dataclass(frozen=True)
class Preprocessing:
    """Squash a photo to a square of ``size`` pixels a side; normalise each channel, RGB from 0 to 1."""

    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Preprocessing:
        """Take the fields from the card's entry, which may have others."""
        return cls(**{name: card[name] for name in ("size", "mean", "std") if name in card})

    def __call__(self, photo: Image.Image) -> Tensor:
        square = photo.resize((self.size, self.size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        tensor: Tensor = normalize(pil_to_tensor(square).float() / 255, list(self.mean), list(self.std))  # (3, S, S)
        return tensor


def load_photo(source: Path | IO[bytes]) -> Image.Image:
    """Decode a photo, upright, in RGB, from a path or an open file. Raises PhotoError.

    Stored photos are clean JPEG files. Transparency and 16 bits occur in the files of those who rank, train and
    evaluate without the site.
    """
    try:
        with Image.open(source) as image:
            turn = UPRIGHT.get(_orientation(image))
            image.load()
            upright: Image.Image = image if turn is None else image.transpose(turn)
            if upright.mode.startswith("I;16"):  # Pillow's convert clips values above 255
                upright = upright.point(lambda value: value / 256).convert("L")
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                rgba = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            return upright.convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise PhotoError(f"not a readable photo: {error}") from error


def _orientation(image: Image.Image) -> int:
    """Return the orientation in Exif; 1 (upright) when Exif is absent or invalid."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1
    return orientation if isinstance(orientation, int) else 1


def batch(photos: list[Image.Image], preprocessing: Preprocessing) -> Tensor:
    """Return photos as one tensor (B, 3, S, S)."""
    return torch.stack([preprocessing(photo) for photo in photos])
