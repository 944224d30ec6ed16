"""The admin's second factor (django-otp): with ``SECOND_FACTOR`` a password alone opens no page of it.

Devices are made by ``manage.py second_factor`` alone: the admin shows no secret, and nobody adds one with a password.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_otp import devices_for_user
from django_otp.forms import OTPAuthenticationFormMixin
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

RECOVERY_CODES = 10
NAME = "authenticator"


class CodeForm(OTPAuthenticationFormMixin, AdminAuthenticationForm):
    otp_token = forms.CharField(
        label=_("Code of your authenticator, or a recovery code"),
        max_length=32,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code"}),
    )

    otp_error_messages = {
        **OTPAuthenticationFormMixin.otp_error_messages,
        "device_required": _("This account has no authenticator. Ask whoever runs the site for one."),
        "token_required": _("The code is missing."),
        "invalid_token": _("The code is wrong, or was used before."),
    }

    def clean(self) -> dict[str, Any]:
        self.cleaned_data = super().clean()
        user = self.get_user()
        if user is not None and (device := self._device(user)):
            self.cleaned_data["otp_device"] = device.persistent_id
        self.clean_otp(user)  # type: ignore[no-untyped-call]
        return self.cleaned_data

    def _device(self, user: Any) -> Any:
        """Return the account's device for this kind of code: an authenticator's are digits, recovery codes are not."""
        kind = TOTPDevice if str(self.cleaned_data.get("otp_token", "")).isdigit() else StaticDevice
        return kind.objects.filter(user=user, confirmed=True).first()


class Admin(AdminSite):
    @property
    def login_form(self) -> type[AdminAuthenticationForm] | None:  # type: ignore[override]  # follows the setting
        return CodeForm if settings.SECOND_FACTOR else None

    @property
    def login_template(self) -> str | None:  # type: ignore[override]
        return "socialsongs_site/admin_login.html" if settings.SECOND_FACTOR else None

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the person may enter; who logged in with the password alone is sent to the admin's login."""
        may = super().has_permission(request)
        return may and (not settings.SECOND_FACTOR or bool(request.user.is_verified()))  # type: ignore[union-attr]


class Enrolled(NamedTuple):
    """``url``: what the authenticator reads, with the secret. Neither it nor the codes are shown again."""

    url: str
    codes: list[str]


def enrol(*, user: User) -> Enrolled:
    """Give an account a new authenticator and new recovery codes in place of the earlier ones."""
    with transaction.atomic():
        remove(user=user)
        device = TOTPDevice.objects.create(user=user, name=NAME, confirmed=True)
        recovery = StaticDevice.objects.create(user=user, name="recovery codes", confirmed=True)
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=recovery, token=code) for code in codes)
    return Enrolled(device.config_url, codes)


def remove(*, user: User) -> int:
    """Remove the account's devices; return how many there were."""
    devices = list(devices_for_user(user, confirmed=None))
    for device in devices:
        device.delete()
    return len(devices)


def enrolled() -> Iterable[User]:
    """Return the accounts with an authenticator, by name."""
    return User.objects.filter(totpdevice__confirmed=True).distinct().order_by("username")
