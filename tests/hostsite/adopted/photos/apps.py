from django.apps import AppConfig

import socialsongs


class PhotosConfig(AppConfig):
    name = "photos"

    def ready(self):
        photo = self.get_model("Photo")
        socialsongs.attach(photo, image="file", owner="author", visibility="is_public", caption="text")
