import uuid

from django.conf import settings
from django.db import models


class Page(models.Model):
    """An identity that several people manage."""

    name = models.CharField(max_length=40)
    admins = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")


class Picture(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    page = models.ForeignKey(Page, null=True, on_delete=models.CASCADE)
    file = models.FileField(upload_to="pictures/", null=True, blank=True)
    is_public = models.BooleanField(default=False)
    title = models.TextField(default="")
    kind = models.CharField(max_length=10, default="photo")

    @property
    def shouted(self):
        return self.title.upper()


class Snapshot(models.Model):
    """With a key that does not count up, and no owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    image = models.ImageField(upload_to="snapshots/")
