"""Sample photos to try the page with, where scikit-image or scikit-learn are installed. Neither is imported."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ..services.thumbnails import shrunk

PLACES = {
    "coffee": ("skimage", "data/coffee.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "stars": ("skimage", "data/hubble_deep_field.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
# Pixels of their thumbnails: as they are shown, and for screens with twice the pixels.
SAMPLE_SIDES = (72, 144)


@cache
def sample_photos() -> dict[str, Path]:
    """File by name, of those that are there."""
    found = {}
    for name, (package, place) in PLACES.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / place).is_file():
                found[name] = path
    return found


@cache
def sample_thumbnail(path: Path, side: int) -> bytes:
    return shrunk(path, side)
