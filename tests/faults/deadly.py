"""The Celery app of a worker that dies outright over a red photo, as over a fault in a native library."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from PIL import Image

from recommender.model import Image2Song, PhotoView
from workers.celery import app

__all__ = ["app"]

analyse = Image2Song.analyse


def _die_of_red(self: Image2Song, photos: Sequence[Image.Image]) -> list[PhotoView]:
    for photo in photos:
        red, green, _ = photo.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        if red > 200 and green < 50:
            os.kill(os.getpid(), signal.SIGKILL)
    return analyse(self, photos)


Image2Song.analyse = _die_of_red  # type: ignore[method-assign]
