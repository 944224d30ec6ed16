"""The Celery app of a worker that dies outright over a red photo, as over a fault in a native library."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from torch import Tensor

from recommender.model import Image2Song, PhotoView
from workers.celery import app

__all__ = ["app"]

look = Image2Song.look


def _die_of_red(self: Image2Song, photos: Sequence[Tensor]) -> list[PhotoView]:
    for photo in photos:
        red, green, _ = photo.mean((1, 2))  # normalised
        if red > 1.5 and green < -1.5:
            os.kill(os.getpid(), signal.SIGKILL)
    return look(self, photos)


Image2Song.look = _die_of_red  # type: ignore[method-assign]
