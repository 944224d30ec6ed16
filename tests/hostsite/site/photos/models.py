import secrets
import uuid

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class Member(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    device = models.CharField(max_length=64, default=secrets.token_hex, unique=True)
    confirmed = models.BooleanField(default=True)


class Photo(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="photos")
    file = models.FileField(upload_to="photos/")
    text = models.TextField(blank=True)
    is_public = models.BooleanField(default=False)
    posted_at = models.DateTimeField(auto_now_add=True)
