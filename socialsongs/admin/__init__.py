"""Django admin for staff. It writes through the services, so that searches see a change in the same commit."""

from . import access, api_clients, people, posts, releases, rules, songs, webhooks  # noqa: F401  (they register their models)
