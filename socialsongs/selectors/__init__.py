"""Queries. Only these decide who may see what."""
