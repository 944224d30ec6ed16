"""Celery workers: they join the Django app and the model, and are the only package that imports both."""

import os

# Must be set before torch is loaded. Its threads then sleep while they wait for each other; by default they spin, which
# makes a pass many times slower as soon as other processes need the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
