"""Rules: decisions of staff over the ranking."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..codes import market_code
from ..models import ModelRelease, Rule
from .base import Styled, badge


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    market = forms.CharField(
        label=_("Market"), max_length=10, required=False, help_text=_("Only for requests from this market, e.g. DE.")
    )

    def clean_market(self) -> str:
        """Return the code that requests use: GB for UK."""
        text: str = self.cleaned_data["market"]
        try:
            return market_code(text) if text else ""
        except ValueError as error:
            raise ValidationError(str(error)) from error


@admin.register(Rule)
class RuleAdmin(Styled):
    form = RuleForm
    list_display = ["name", "action", "about", "where", "starts_at", "ends_at", "state_now"]
    list_filter = ["action", "enabled"]
    list_select_related = ["song"]
    search_fields = ["name", "genre", "tag", "song__title", "song__artist"]
    autocomplete_fields = ["song"]
    readonly_fields = ["state_now", "created_at"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", ("action", "strength"), ("enabled", "state_now")],
                "description": _(
                    "Pin: the song comes first, whatever its relevance. Boost: songs rise. Bury: they sink. "
                    "Block: songs are never shown. A rule counts for requests that are answered from now on."
                ),
            },
        ),
        (
            _("Which songs"),
            {
                "fields": ["song", "genre"],
                "description": _("One song, or all songs of a genre. A block without either applies to every song."),
            },
        ),
        (
            _("Where and when"),
            {
                "fields": ["tag", "market", ("starts_at", "ends_at"), "created_at"],
                "description": _(
                    "Empty fields set no limit: with all of them empty, the rule counts for all photos, "
                    "everywhere, always. The tag is a name as it stands under a photo, such as beach."
                ),
            },
        ),
    ]

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        active = ModelRelease.objects.filter(state=ModelRelease.State.ACTIVE)
        known = {tag["name"].casefold() for tag in active.values_list("card__tags", flat=True).first() or []}
        if obj.tag and obj.tag.casefold() not in known:
            messages.warning(
                request,
                gettext("The active release has no tag “%(tag)s”: the rule has no effect until a release has it.")
                % {"tag": obj.tag},
            )

    @admin.display(description=_("applies to"))
    def about(self, rule: Rule) -> str:
        if rule.song:
            return str(rule.song)
        return gettext("genre %(genre)s") % {"genre": rule.genre} if rule.genre else gettext("every song")

    @admin.display(description=_("where"))
    def where(self, rule: Rule) -> str:
        places = [
            gettext("photos with %(tag)s") % {"tag": rule.tag} if rule.tag else "",
            gettext("market %(market)s") % {"market": rule.market} if rule.market else "",
        ]
        return ", ".join(filter(None, places)) or gettext("everywhere")

    @admin.display(description=_("state now"))
    def state_now(self, rule: Rule) -> SafeString:
        now = timezone.now()
        if not rule.enabled:
            return badge("off")
        if rule.ends_at and rule.ends_at <= now:
            return badge("over")
        if rule.starts_at and rule.starts_at > now:
            return badge("scheduled")
        return badge("active")
