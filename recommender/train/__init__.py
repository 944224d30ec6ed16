"""Training: from photos with captions or labels, and lyrics, to a release. Needs recommender/train/requirements.txt.

A file is named by the part that it trains, as in ``evaluate``: ``tagger.py``, ``eyes.py``, ``matcher.py``,
``confidence.py``; ``eyes_examples.py`` and the like hold the examples, settings or figures of one part. All other files
are named by what they do. ``from_pairs.py`` and ``from_choices.py`` train the matcher of a release further.
"""
