"""Settings of the stand-alone deployment, from the environment (see docs/operations.md for the list).

Without DATABASE_URL and REDIS_URL the embedded servers under var/ are used.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from ..api.contract import SPECTACULAR
from ..conf import PluginSettings
from .embedded import locations

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.FileAwareEnv()  # type: ignore[no-untyped-call]

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
EMBEDDED = "DATABASE_URL" not in env.ENVIRON

DEBUG = env.bool("DEBUG", default=False)
# Behind a proxy that speaks TLS. The demo, on plain http://localhost, turns it off.
SECURE_SSL = env.bool("SECURE_SSL", default=not DEBUG)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])


def _secret_key() -> str:
    if "SECRET_KEY" in env.ENVIRON:
        return env.str("SECRET_KEY")
    if not EMBEDDED:
        raise ImproperlyConfigured("Set SECRET_KEY (or SECRET_KEY_FILE) when DATABASE_URL is set.")
    path = VAR_DIR / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(get_random_secret_key())
    return path.read_text()


SECRET_KEY = _secret_key()

DATABASES = {"default": env.db_url("DATABASE_URL", default=locations(VAR_DIR).database_url)}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
REDIS_URL = env.str("REDIS_URL", default=locations(VAR_DIR).redis_url)

INSTALLED_APPS = [
    "socialsongs.site",  # first: its templates take the place of others'
    "socialsongs.site.admin_app.Config",  # the admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "socialsongs",
    "workers",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "socialsongs.site.compression.TextGZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "socialsongs.site.refusals.BodyLimits",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "socialsongs.site.urls"
WSGI_APPLICATION = "socialsongs.site.wsgi.application"
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

AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 10},
        "CommonPasswordValidator": {},
        "NumericPasswordValidator": {},
    }.items()
]
# Failed logins are counted in the database, so that the limits hold without Redis. The log has names and addresses;
# axes masks passwords.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=10)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_WAIT_MINUTES", default=15))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_SENSITIVE_PARAMETERS: list[str] = []
AXES_CLIENT_IP_CALLABLE = "socialsongs.site.login.client_address"
AXES_CLIENT_STR_CALLABLE = "socialsongs.site.login.described"
AXES_LOCKOUT_CALLABLE = "socialsongs.site.login.locked_out"
DEFAULT_EXCEPTION_REPORTER = "socialsongs.error_reports.PrivateReport"
# The admin asks for a code beside the password; devices are made by `manage.py second_factor`.
SECOND_FACTOR = env.bool("SECOND_FACTOR", default=False)
OTP_TOTP_ISSUER = env.str("SECOND_FACTOR_ISSUER", default="SocialSongs")
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")  # of people whose browser asks for none of these
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(VAR_DIR / "static"))
# No URL serves this folder: each photo goes through a view that checks who asks for it.
MEDIA_ROOT = env.str("MEDIA_ROOT", default=str(VAR_DIR / "media"))
STORAGES = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        # Other accounts of the machine cannot open private photos.
        "OPTIONS": {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "socialsongs",
        "OPTIONS": {
            "serializer": "socialsongs.json_cache.JsonSerializer",
            # People wait for the cache with each page, so the site goes on without it when it does not answer at once.
            "socket_connect_timeout": 0.25,
            "socket_timeout": 0.25,
        },
    }
}


def _socialsongs() -> dict[str, Any]:
    """SOCIALSONGS_<KEY> of the environment for every key of the settings dict."""
    # Celery calls a Redis on a unix socket redis+socket.
    found: dict[str, Any] = {"BROKER_URL": REDIS_URL.replace("unix://", "redis+socket://", 1)}
    readers: dict[str, Any] = {"int": env.int, "int | None": env.int, "float": env.float, "bool": env.bool}
    readers["dict[str, Any]"] = env.json
    for field in fields(PluginSettings):
        name = f"SOCIALSONGS_{field.name}"
        if name in env.ENVIRON:
            try:
                found[field.name] = readers.get(str(field.type), env.str)(name)
            except JSONDecodeError as error:
                raise ImproperlyConfigured(f"{name} must be JSON.") from error
            except ValueError as error:
                raise ImproperlyConfigured(f"{name} must be a number, got {env.str(name)!r}.") from error
    return found


SOCIALSONGS = _socialsongs()

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # Token first: its challenge makes a missing login a 401 and not a 403.
        "socialsongs.site.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
KNOX_TOKEN_MODEL = "socialsongs_site.Token"
MIGRATION_MODULES = {"knox": None}  # no table of knox's own: the site's Token replaces it
# 160 bits, like the tokens of earlier versions.
REST_KNOX = {"AUTH_TOKEN_CHARACTER_LENGTH": 40}
SPECTACULAR_SETTINGS = {
    **SPECTACULAR,
    "DEFAULT_GENERATOR_CLASS": "socialsongs.api.schema.ContractGenerator",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL
SECURE_SSL_REDIRECT = SECURE_SSL
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if SECURE_SSL else 0)
# Only when asked: they bind names of the domain that this site does not serve, and preloading is hard to undo.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", default=False)
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    raise ImproperlyConfigured("SECURE_HSTS_PRELOAD needs SECURE_HSTS_SUBDOMAINS, too: browsers list no site without.")
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # the two that ask for them
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# No page has inline scripts or styles, also no page of the admin. Previews of songs may be on other sites;
# blob: shows a photo before it is sent, and data: holds icons of Swagger UI.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "media-src": [SELF, "https:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    feature: []
    for feature in (
        "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi",
        "payment", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
    )
} | {"autoplay": ["self"], "fullscreen": ["self"]}  # fmt: skip
# Larger parts of an upload go to disk; socialsongs/intake sets the limit for one photo.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"axes": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
