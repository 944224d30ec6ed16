"""Metrics for Prometheus, which a host mounts by ``socialsongs.metrics.urls``."""
