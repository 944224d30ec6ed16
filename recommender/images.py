"""A photo file as the tensor the tagger was trained on; the choices are recorded in the release's card."""

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

# How a photo is turned that was taken with the camera held otherwise, by the orientation in its Exif.
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
    """The file is no photo that can be read; trying again will not help."""


@dataclass(frozen=True)
class Preprocessing:
    """``size``: pixels of each side; the photo is squashed to a square. ``mean`` and ``std`` per channel, RGB 0..1."""

    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Preprocessing:
        """From the card's entry, which may say more."""
        return cls(**{name: card[name] for name in ("size", "mean", "std") if name in card})

    def __call__(self, photo: Image.Image) -> Tensor:
        square = photo.resize((self.size, self.size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        tensor: Tensor = normalize(pil_to_tensor(square).float() / 255, list(self.mean), list(self.std))  # (3, S, S)
        return tensor


def load_photo(source: Path | IO[bytes]) -> Image.Image:
    """Decode a photo, upright, in RGB, from a path or an open file. Raises PhotoError."""
    try:
        with Image.open(source) as image:
            turn = UPRIGHT.get(_orientation(image))
            image.load()
            upright: Image.Image = image if turn is None else image.transpose(turn)
            if upright.mode.startswith("I;16"):  # Pillow would cut off everything above 255
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
    """As in Exif; 1 where its metadata are too odd to be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except (AttributeError, KeyError, OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1
    return found if isinstance(found, int) else 1


def batch(photos: list[Image.Image], preprocessing: Preprocessing) -> Tensor:
    """Stack photos as (B, 3, S, S)."""
    return torch.stack([preprocessing(photo) for photo in photos])
