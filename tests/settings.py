"""The settings of the tests: those of the stand-alone site, with an app that has photos of its own."""

from socialsongs.site.settings import *  # noqa: F403
from socialsongs.site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.gallery"]
