"""The site's settings, with the app that hears."""

from socialsongs.site import settings as site
from socialsongs.site.settings import *  # noqa: F403

INSTALLED_APPS = [*site.INSTALLED_APPS, "tests.hearing"]
