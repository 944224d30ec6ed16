from django.apps import AppConfig


class SocialSongsConfig(AppConfig):
    name = "socialsongs"
    verbose_name = "SocialSongs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers the system checks)
