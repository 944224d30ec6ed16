"""A worker process: its Celery tasks, its duty (whether it takes work), and its row with the heartbeat."""
