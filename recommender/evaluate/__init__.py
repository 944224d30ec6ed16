"""Evaluation of a release: against baselines, and with parts of it removed; ``command.py`` is the entry.

A file is named by the part that it evaluates, as in ``train``: ``tagger.py``, ``eyes.py``, ``confidence.py``. All other
files are named by what they do. Evaluation may import what training knows of its data; it never trains a release.
"""
