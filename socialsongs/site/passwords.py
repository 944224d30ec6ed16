"""Password forms that can also revoke the account's tokens."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from .tokens import revoke


class RevokesTokens(forms.Form):
    revoke_tokens = forms.BooleanField(required=False, label=_("Also revoke the account’s API tokens"))

    user: User

    def save(self, commit: bool = True) -> User:
        with transaction.atomic():
            user: User = super().save(commit)  # type: ignore[misc]  # the form that inherits this class has it
            if self.cleaned_data["revoke_tokens"]:
                revoke(user=user)
        return user


class OwnPasswordForm(RevokesTokens, PasswordChangeForm):
    field_order = ["old_password", "new_password1", "new_password2", "revoke_tokens"]


class SomebodysPasswordForm(RevokesTokens, AdminPasswordChangeForm):  # type: ignore[type-arg]
    pass
