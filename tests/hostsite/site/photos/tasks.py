from celery import shared_task

from .models import Photo


@shared_task
def count_photos():
    return Photo.objects.count()
