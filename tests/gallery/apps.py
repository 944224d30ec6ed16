from django.apps import AppConfig


class GalleryConfig(AppConfig):
    name = "tests.gallery"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from django.db.models import Q

        import socialsongs

        from .models import Picture, Snapshot

        socialsongs.attach(
            Picture,
            image="file",
            owner="author",
            managed_by="page__admins",
            visibility="is_public",
            caption="title",
            when=Q(kind="photo"),
        )
        socialsongs.attach(Snapshot, visibility="public")
