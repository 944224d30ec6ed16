"""The commands of a deployment: the demo and the tests run them, and a test compares docker-compose.yml."""

from __future__ import annotations

import shlex

# Slow connections hold no thread of this worker class. gunicorn's control socket is off: all web servers of a user
# would share the one in their home folder.
WEB = shlex.split(
    "gunicorn socialsongs.site.wsgi:application --worker-class socialsongs.site.server.BufferingWorker"
    " --workers 2 --threads 4 --graceful-timeout 8 --no-control-socket --access-logfile - --bind"
)
# Solo: a fork after a forward pass would hang. Workers need no messages from each other: they read the rows.
CELERY = shlex.split("celery -A workers.celery worker -P solo --without-gossip --without-mingle -l info")
# One process per device analyses photos and encodes songs.
WORKER = [*CELERY, *shlex.split("-Q interactive,bulk -n inference@%h")]
# The reconciler, with the scheduler that calls it.
BEAT = [*CELERY, *shlex.split("-B -Q maintenance -n maintenance@%h -s")]
