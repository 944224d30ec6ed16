from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from django.apps import AppConfig

from socialsongs.signals import BY_KIND, PostEvent


class HearingConfig(AppConfig):
    name = "tests.hearing"

    def ready(self) -> None:
        for signal in BY_KIND.values():
            signal.connect(hear)


def hear(event: PostEvent, **_: Any) -> None:
    """Write down the event; stay for as long as there is a file "stay"."""
    folder = Path(os.environ["HEARD"])
    with (folder / "events").open("a") as file:
        file.write(f"{event.kind} {event.id} {event.post_id}\n")
    while (folder / "stay").exists():
        time.sleep(0.05)
