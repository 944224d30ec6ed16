from django.apps import AppConfig


class SocialSongsConfig(AppConfig):
    name = "socialsongs"
    verbose_name = "SocialSongs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401  (they register system checks and receivers)
