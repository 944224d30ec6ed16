from django.apps import AppConfig


class SiteConfig(AppConfig):
    """What the stand-alone site has of its own: tokens, and templates that hold no inline styles."""

    name = "socialsongs.site"
    label = "socialsongs_site"
    verbose_name = "Site"
    default_auto_field = "django.db.models.BigAutoField"
