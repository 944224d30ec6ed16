"""The stand-alone site with one more address."""

from socialsongs.site.settings import *  # noqa: F403

ROOT_URLCONF = "bench.bare.urls"
