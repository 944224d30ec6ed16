"""A ``manage.py`` whose workers have faults. A file of a fault's name in the folder FAULTS switches it on.

At each of POINTS, on the way of a batch of posts:
    die-POINT    once: the process is killed
    cut-POINT    once: the server ends the process's database connection
    wait-POINT   as long as the file is there: it stays at the point, or only for as many seconds as the file says
For as long as the file is there:
    red-kills    the analysis of a red photo kills the process, as a fault in a native library would
    red-raises   the analysis of a red photo raises RuntimeError
    oom          a forward pass over more photos than the file says runs out of memory
    storage      no photo can be read from the storage
The worker itself writes "at-POINT" while it stays at a point, and a line to "looks" for each look: pid, photos.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from celery.signals import celeryd_init
from django.core.management import execute_from_command_line
from django.db import connection
from torch import Tensor

from recommender.model import Image2Song
from recommender.results import PhotoView

FOLDER = Path(os.environ["FAULTS"])


def is_on(fault: str) -> bool:
    return (FOLDER / fault).exists()


def is_on_once(fault: str) -> bool:
    try:
        (FOLDER / fault).unlink()
    except FileNotFoundError:
        return False
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def reach(point: str) -> None:
    if is_on_once(f"die-{point}"):
        die()
    if is_on_once(f"cut-{point}"):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    if is_on(f"wait-{point}"):
        wait_at(point)


def wait_at(point: str) -> None:
    seconds = (FOLDER / f"wait-{point}").read_text()
    if seconds:
        select.select([], [], [], float(seconds))  # time.sleep fails under libfaketime
        return
    (FOLDER / f"at-{point}").touch()
    while is_on(f"wait-{point}"):
        time.sleep(0.02)
    (FOLDER / f"at-{point}").unlink(missing_ok=True)


def install_points() -> None:
    """Patch the functions where they are looked up: all of them in workers.lanes.posts."""
    from workers.lanes import posts as photos

    def before(function: str, point: str) -> None:
        original = getattr(photos, function)

        def patched(*args: Any, **options: Any) -> Any:
            reach(point)
            return original(*args, **options)

        setattr(photos, function, patched)

    def after(function: str, point: str, reached: Callable[[Any], bool]) -> None:
        original = getattr(photos, function)

        def patched(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            if reached(result):
                reach(point)
            return result

        setattr(photos, function, patched)

    holding = photos.holding

    @contextmanager
    def held(*args: Any) -> Iterator[Any]:
        with holding(*args) as rows:
            yield rows
            reach("before_commit")

    photos.holding = held
    after("claim", "after_claim", lambda claimed: bool(claimed.rows))
    before("analyse_photos", "after_decode")
    before("suggest_for_posts", "after_look")
    before("write_results", "after_rank")
    after("_write_together", "after_commit", lambda _: True)


def install_looks() -> None:
    look = Image2Song.analyse_pixels

    def patched(self: Image2Song, photos: Sequence[Tensor]) -> list[PhotoView]:
        with (FOLDER / "looks").open("a") as file:
            file.write(f"{os.getpid()} {len(photos)}\n")
        if is_on("oom") and len(photos) > int((FOLDER / "oom").read_text()):
            raise torch.OutOfMemoryError(f"{len(photos)} photos do not fit")
        if any(map(is_red, photos)):
            if is_on("red-kills"):
                die()
            if is_on("red-raises"):
                raise RuntimeError("a red photo")
        return look(self, photos)

    Image2Song.analyse_pixels = patched  # type: ignore[method-assign]


def is_red(photo: Tensor) -> bool:
    red, green, _ = photo.mean((1, 2))  # normalised
    return bool(red > 1.5 and green < -1.5)


def install_storage() -> None:
    from socialsongs.models import PhotoSubject

    open_photo = PhotoSubject.open

    def patched(self: PhotoSubject) -> Any:
        if is_on("storage"):
            raise OSError("the storage is away")
        return open_photo(self)

    PhotoSubject.open = patched  # type: ignore[method-assign]


@celeryd_init.connect
def install(**_: Any) -> None:
    """Install all faults; models can only be imported when Django is set up."""
    install_points()
    install_looks()
    install_storage()


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
