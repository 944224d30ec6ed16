"""Celery workers: they join the Django app and the model, and are the only package that imports both."""

import os

# Before torch is loaded: its threads sleep while they wait for each other. Spinning, which is the default, makes
# a forward pass many times slower as soon as other processes want the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
