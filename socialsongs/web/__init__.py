"""The poster's page: Django templates and htmx, no build step."""
