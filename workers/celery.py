"""Where workers were started before they had a command. Whoever starts one here is told the command."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("app", "celery"):  # what ``celery -A workers.celery`` asks for
        raise SystemExit(
            "Workers are started by a command of Django, which knows the settings, the queues and the pool:\n"
            "    python manage.py socialsongs_worker                     all work, in one process\n"
            "    python manage.py socialsongs_worker interactive bulk    instead of -Q interactive,bulk\n"
            "    python manage.py socialsongs_worker maintenance         instead of -B -Q maintenance\n"
            "`-n NAME` is `--name NAME`, other settings of Celery go into SOCIALSONGS['CELERY']."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
