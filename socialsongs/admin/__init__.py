"""Curation in Django admin. Writes go through the services, so that the search follows in the same commit."""

from . import access, people, posts, releases, rules, songs  # noqa: F401  (they register the models)
