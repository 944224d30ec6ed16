"""The commands of a deployment, in one place: the demo and the tests run them, docker-compose.yml repeats them."""

from __future__ import annotations

import shlex

# The worker class is one whose threads are not held by slow connections. Without gunicorn's control socket: all web
# servers of a user would share the one in their home folder.
WEB = shlex.split(
    "gunicorn socialsongs.site.wsgi:application --worker-class socialsongs.site.server.BufferingWorker"
    " --workers 2 --threads 4 --graceful-timeout 8 --no-control-socket --access-logfile - --bind"
)
# Solo: a fork after a forward pass would hang. Workers have nothing to tell each other: the rows say all.
CELERY = shlex.split("celery -A workers.celery worker -P solo --without-gossip --without-mingle -l info")
# One process per device looks at photos and reads lyrics.
WORKER = [*CELERY, *shlex.split("-Q interactive,bulk -n inference@%h")]
# The reconciler, with the clock that calls it.
BEAT = [*CELERY, *shlex.split("-B -Q maintenance -n maintenance@%h -s")]
