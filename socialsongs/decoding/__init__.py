"""Decoding of photos that others made, in a process of its own: ``python -m socialsongs.decoding``.

Imports nothing of Django and nothing else of this package; ``socialsongs/intake/pool.py`` runs it.
"""
