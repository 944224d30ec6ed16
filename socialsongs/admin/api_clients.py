"""API clients, their keys and their people. A key is shown once, on the page after it is made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..models import ApiClient, ApiKey, ExternalUser, Scope, SongSource
from ..services.api_keys import MOST_DAYS, end_of, make_key, revoke_key
from ..services.external_users import delete_client, delete_external_user
from .base import ReadOnly, Styled

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def _scopes(about: StrOrPromise, initial: Iterable[str] = ()) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=[(scope, scope) for scope in Scope.values],
        widget=forms.CheckboxSelectMultiple,
        initial=list(initial),
        help_text=about,
    )


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = _scopes(
        _("What its keys may be used for, at most. songs:write changes the catalogue that all share."),
        initial=[scope for scope in Scope.values if scope != Scope.SONGS_WRITE],
    )


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = _scopes(_("What the key may be used for, as far as its client may."))
    days = forms.IntegerField(
        label=_("Days"),
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        initial=365,
        help_text=_("Days until it expires; empty: until revoked."),
    )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if (client := values.get("client")) and (more := set(values.get("scopes", [])) - set(client.scopes)):
            self.add_error(
                "scopes",
                _("%(client)s may not have %(scopes)s.") % {"client": client, "scopes": ", ".join(sorted(more))},
            )
        return values


class WithPeople(Styled):
    """Rows that are deleted with accounts and posts, by a service."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Say how much is deleted; nothing of it is protected, and the service needs no further permissions."""
        return [str(row) for row in objs], {name: count for name, count in self.counts(objs) if count}, set(), []

    def counts(self, rows: Any) -> Iterable[tuple[str, int]]:
        raise NotImplementedError

    def delete_row(self, row: Any) -> None:
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_row(row)


class SongSources(admin.TabularInline):  # type: ignore[type-arg]
    """Sources whose songs the client alone writes over the API."""

    model = SongSource
    extra = 0


@admin.register(ApiClient)
class ApiClientAdmin(WithPeople):
    """Deleting a client deletes its keys and all that the site has of its people; turning it off keeps them."""

    form = ClientForm
    list_display = ["name", "active", "may", "rate", "shares_public_posts", "created_at"]
    list_filter = ["active"]
    search_fields = ["name"]
    fields = ["name", "scopes", "rate", "shares_public_posts", "active"]
    inlines = [SongSources]

    @admin.display(description=_("scopes"))
    def may(self, client: ApiClient) -> str:
        return ", ".join(client.scopes)

    def counts(self, rows: Iterable[ApiClient]) -> Iterable[tuple[str, int]]:
        yield gettext("API keys"), ApiKey.objects.filter(client__in=rows).count()
        yield gettext("people with all their data"), ExternalUser.objects.filter(client__in=rows).count()

    def delete_row(self, row: ApiClient) -> None:
        delete_client(client=row)


@admin.register(ApiKey)
class ApiKeyAdmin(Styled):
    form = KeyForm
    fields = ["client", "name", "scopes", "days"]
    list_display = ["name", "client", "prefix", "state", "may", "created_at", "created_by", "expires_at",
                    "last_used_at"]  # fmt: skip
    list_select_related = ["client", "created_by"]
    list_filter = ["client", "revoked_at"]
    search_fields = ["name", "prefix", "client__name"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        shown = [*self.list_display, "revoked_at"]
        return self.fields if obj is None else shown

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return [] if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:  # all fields can only be read
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    @admin.display(description=_("scopes"))
    def may(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description=_("state"))
    def state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return gettext("revoked")
        return (
            gettext("expired") if key.expires_at is not None and key.expires_at <= timezone.now() else gettext("valid")
        )

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            return
        values = form.cleaned_data
        made, text = make_key(
            client=obj.client,
            name=obj.name,
            scopes=values["scopes"],
            expires_at=end_of(days=values["days"]),
            by=request.user,  # type: ignore[arg-type]
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        obj.text = text  # type: ignore[attr-defined]  # only for the page that follows

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key on this page, which no cache keeps: not after a redirect, whose message a cookie could hold."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("API key created"),
            "key": obj,
        }
        return TemplateResponse(request, "socialsongs/key_made.html", context)

    @admin.action(description=_("Revoke: refuse these keys from now on"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            revoke_key(key=key)
        keys = queryset.count()
        said = ngettext("%(number)d key is revoked.", "%(number)d keys are revoked.", keys)
        messages.success(request, said % {"number": keys})


@admin.register(ExternalUser)
class ExternalUserAdmin(WithPeople, ReadOnly):
    """People of API clients. Deleting one deletes all that the site has of them."""

    list_display = ["external_id", "client", "user", "made", "created_at"]
    list_select_related = ["client", "user"]
    list_filter = ["client", "made"]
    search_fields = ["=external_id"]

    def counts(self, rows: Iterable[ExternalUser]) -> Iterable[tuple[str, int]]:
        yield gettext("people with all their data"), len(list(rows))

    def delete_row(self, row: ExternalUser) -> None:
        delete_external_user(person=row)
