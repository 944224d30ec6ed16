from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    label = "socialsongs_workers"
    verbose_name = "SocialSongs workers"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)
