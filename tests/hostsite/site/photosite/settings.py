"""A photo-sharing site: its own people, photos, storage, jobs, API and admin."""

import os
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SITE_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "photosite.urls"
USE_TZ = True

DATABASE = environ.Env.db_url_config(os.environ["SITE_DATABASE_URL"])
DATABASES = {"default": {**DATABASE, "ATOMIC_REQUESTS": True}, "replica": DATABASE}
DATABASE_ROUTERS = ["photosite.routers.Replica"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "photosite.apps.AdminConfig",
    "rest_framework",
    "photos",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_USER_MODEL = "photos.Member"
LOGIN_URL = "/app/admin/login/"
STATIC_URL = "/app/static/"
STORAGES = {
    "default": {"BACKEND": "photosite.storage.Bucket"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
BUCKET = BASE_DIR / "bucket"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["photosite.auth.DeviceAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["photosite.auth.Confirmed"],
}

CELERY_BROKER_URL = os.environ["SITE_BROKER_URL"]
CELERY_TASK_ROUTES = {"*": {"queue": "site"}}
CELERY_BEAT_SCHEDULE = {"count": {"task": "photos.tasks.count_photos", "schedule": 2.0}}
CELERY_WORKER_POOL = "gevent"
