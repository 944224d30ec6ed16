"""Pictures that show nothing: noise, gradients, stripes, flat colours. No song belongs to them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SIDE = 224


def _noise(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def _soft_noise(rng: np.random.Generator) -> Image.Image:
    soft = np.asarray(_noise(rng).filter(ImageFilter.GaussianBlur(rng.uniform(1, 8))), np.float32)
    return _stretched(soft)


def _gradient(rng: np.random.Generator) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    slope = rng.uniform(-1, 1, (3, 2))
    return _stretched(np.stack([a * x + b * y for a, b in slope], 2))


def _stripes(rng: np.random.Generator) -> Image.Image:
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    angle, width = rng.uniform(0, np.pi), rng.uniform(6, 40)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / width) > 0
    return _two_colours(wave, rng)


def _squares(rng: np.random.Generator) -> Image.Image:
    width = int(rng.integers(8, 50))
    x, y = np.meshgrid(np.arange(SIDE) // width, np.arange(SIDE) // width)
    return _two_colours((x + y) % 2 == 0, rng)


def _flat(rng: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 256, 3).tolist()))


def _rings(rng: np.random.Generator) -> Image.Image:
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    distance = np.hypot(x - rng.uniform(0, SIDE), y - rng.uniform(0, SIDE))
    wave = np.sin(distance * 2 * np.pi / rng.uniform(10, 60))
    return _stretched(wave[:, :, None] * rng.uniform(-1, 1, 3))


def _mosaic(rng: np.random.Generator) -> Image.Image:
    """Give each pixel the colour of the nearest of some centres."""
    centres = rng.uniform(0, SIDE, (int(rng.integers(10, 60)), 2))
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    nearest = np.hypot(x[:, :, None] - centres[:, 0], y[:, :, None] - centres[:, 1]).argmin(2)
    return Image.fromarray(rng.integers(0, 256, (len(centres), 3), dtype=np.uint8)[nearest])


def _two_colours(where: NDArray[np.bool_], rng: np.random.Generator) -> Image.Image:
    one, other = rng.integers(0, 256, (2, 3), dtype=np.uint8)
    return Image.fromarray(np.where(where[:, :, None], one, other))


def _stretched(pixels: NDArray[np.floating]) -> Image.Image:
    low, high = pixels.min(), pixels.max()
    return Image.fromarray(((pixels - low) / max(high - low, 1e-6) * 255).astype(np.uint8))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "noise": _noise,
    "soft noise": _soft_noise,
    "gradient": _gradient,
    "stripes": _stripes,
    "squares": _squares,
    "flat": _flat,
}


# Not used in training.
UNSEEN: dict[str, Callable[[np.random.Generator], Image.Image]] = {"rings": _rings, "mosaic": _mosaic}


def textures(each: int, seed: int, unseen: bool = False) -> list[Image.Image]:
    """Return ``each`` pictures of every kind, the same for the same seed."""
    rng = np.random.default_rng(seed)
    kinds = UNSEEN if unseen else KINDS
    return [made(rng) for made in kinds.values() for _ in range(each)]
