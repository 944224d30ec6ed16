from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class WorkersConfig(AppConfig):
    name = "workers"
    label = "socialsongs_workers"
    verbose_name = "SocialSongs workers"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)

        self._install_on_host_app()

    def _install_on_host_app(self) -> None:
        """Where the host's Celery app carries our work, each process that has the app knows our tasks and schedule."""
        from socialsongs.broker import celery_app
        from socialsongs.conf import config

        try:
            app = celery_app() if config().CELERY_APP else None
        except ImproperlyConfigured:
            return  # a system check says so
        if app:
            from .process.starting import install

            install(app)
