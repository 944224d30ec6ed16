"""Celery workers: they join the Django app and the model, and are the only package that imports both."""
