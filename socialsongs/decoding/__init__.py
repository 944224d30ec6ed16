"""Decodes untrusted photos in a separate process: ``python -m socialsongs.decoding``.

Imports neither Django nor other modules of ``socialsongs``; ``socialsongs/intake/pool.py`` runs it.
"""
