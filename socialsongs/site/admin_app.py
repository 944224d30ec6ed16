"""The app of Django's admin with the site's own pages around it; read before there are models."""

from django.contrib.admin.apps import AdminConfig


class Config(AdminConfig):
    default_site = "socialsongs.site.second_factor.Admin"
