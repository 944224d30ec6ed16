#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it brings its own PostgreSQL and Redis, under var/."""

import os
import sys
from pathlib import Path

# Commands that need no database and should not wait for one.
WITHOUT_SERVERS = {"help", "version", "--version", "--help", "-h", "collectstatic", "check", "spectacular"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socialsongs.site.settings")
    from django.core.management import execute_from_command_line

    from socialsongs.site.embedded import EmbeddedServerError, running

    asked = set(sys.argv[1:3])
    given = {"DATABASE_URL", "DATABASE_URL_FILE"} & os.environ.keys()
    if given or len(sys.argv) < 2 or asked & WITHOUT_SERVERS:
        execute_from_command_line(sys.argv)
        return 0
    var = Path(os.environ.get("VAR_DIR", Path(__file__).resolve().parent / "var"))
    try:
        with running(var):
            execute_from_command_line(sys.argv)
    except EmbeddedServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
