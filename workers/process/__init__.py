"""A worker process: the Celery tasks it runs, whether it may take work, and the row that says it is there."""
