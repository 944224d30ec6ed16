"""Admin of tokens, and of accounts whose new password can revoke them. Deleting a token revokes it."""

from __future__ import annotations

from typing import Any

from axes.admin import AccessAttemptAdmin
from axes.models import AccessAttempt
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static import admin as _static  # noqa: F401  (registers what is unregistered below)
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp import admin as _totp  # noqa: F401
from django_otp.plugins.otp_totp.models import TOTPDevice

from .models import Token
from .passwords import SomebodysPasswordForm
from .tokens import issue


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=Token.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Token.Scope.READ, Token.Scope.WRITE],
        help_text=_("A scope gives no right that the account lacks."),
    )
    days = forms.IntegerField(
        label=_("Days"),
        required=False,
        min_value=1,
        max_value=3650,
        initial=365,
        help_text=_("Days until it expires; empty: until revoked."),
    )


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Only superusers create and see tokens of others: who has a token can act as its account."""

    form = TokenForm
    fields = ["user", "name", "scopes", "days"]
    list_display = ["name", "user", "may", "created", "expiry", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user_id=request.user.pk)

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user" and not request.user.is_superuser:
            kwargs["queryset"] = User.objects.filter(username=request.user.get_username())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        return self.fields if obj is None else ["user", "name", "may", "created", "expiry", "last_used_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> Any:
        return [] if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return False

    @admin.display(description=_("scopes"))
    def may(self, token: Token) -> str:
        return ", ".join(token.scopes)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        values = form.cleaned_data
        made, text = issue(user=obj.user, name=obj.name, scopes=values["scopes"], days=values["days"])
        obj.pk = made.pk
        obj.text = text  # type: ignore[attr-defined]  # only for the page that follows

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Token created"),
            "token": obj,
        }
        return TemplateResponse(request, "socialsongs_site/token_made.html", context)


class SiteUserAdmin(UserAdmin):  # type: ignore[type-arg]
    change_password_form = SomebodysPasswordForm
    change_user_password_template = "socialsongs_site/user_password.html"


class AttemptAdmin(AccessAttemptAdmin):
    # The action of axes asks for no permission, and fails: it reads what only a login sets. Attempts end by themselves.
    actions = []


for device in (TOTPDevice, StaticDevice):
    admin.site.unregister(device)  # their pages show secrets
for model, shown in ((User, SiteUserAdmin), (AccessAttempt, AttemptAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, shown)
