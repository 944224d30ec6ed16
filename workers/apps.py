from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    label = "socialsongs_workers"
    verbose_name = "SocialSongs workers"
