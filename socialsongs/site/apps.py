from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SiteConfig(AppConfig):
    """What only the stand-alone site has: tokens, sample photos, demo, and its own templates."""

    name = "socialsongs.site"
    label = "socialsongs_site"
    verbose_name = _("Site")
    default_auto_field = "django.db.models.BigAutoField"
