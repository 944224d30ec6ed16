"""How good a release is, beside baselines and without its parts; ``command.py`` is the entry."""
