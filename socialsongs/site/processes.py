"""The commands of a deployment, in one place: the demo and the tests run them, docker-compose.yml repeats them."""

from __future__ import annotations

import shlex

# Without gunicorn's control socket: all web servers of a user would share the one in their home folder.
WEB = shlex.split(
    "gunicorn socialsongs.site.wsgi:application --workers 2 --threads 4 --no-control-socket --access-logfile - --bind"
)
# One process per device looks at photos and reads lyrics. Solo: a fork after a forward pass would hang.
WORKER = shlex.split(
    "celery -A workers.celery worker -Q interactive,bulk -P solo --prefetch-multiplier=1 -n inference@%h -l info"
)
# The reconciler, with the clock that calls it.
BEAT = shlex.split("celery -A workers.celery worker -B -Q maintenance -P solo -n maintenance@%h -l info -s")
