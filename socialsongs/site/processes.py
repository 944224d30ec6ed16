"""The commands of a deployment: the demo and the tests run them, and a test compares docker-compose.yml."""

from __future__ import annotations

import shlex

# Slow connections hold no thread of this worker class. gunicorn's control socket is off: all web servers of a user
# would share the one in their home folder.
WEB = shlex.split(
    "gunicorn socialsongs.site.wsgi:application --worker-class socialsongs.site.server.BufferingWorker"
    " --workers 2 --threads 4 --graceful-timeout 8 --no-control-socket --access-logfile - --bind"
)
# One process for each device analyses photos and encodes songs.
WORKER = shlex.split("python manage.py socialsongs_worker interactive bulk")
# The reconciler, with the scheduler that calls it.
BEAT = shlex.split("python manage.py socialsongs_worker maintenance")
