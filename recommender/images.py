"""A photo file as the tensor the tagger was trained on; the choices are recorded in the release's card."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import normalize, pil_to_tensor


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
            image.load()
            upright = ImageOps.exif_transpose(image)
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


def batch(photos: list[Image.Image], preprocessing: Preprocessing) -> Tensor:
    """Stack photos as (B, 3, S, S)."""
    return torch.stack([preprocessing(photo) for photo in photos])
