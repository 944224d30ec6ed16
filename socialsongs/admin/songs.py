"""The catalogue: songs, their encoding by the active release, and editorial songs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ORDER_VAR
from django.contrib.admin.widgets import AdminFileWidget
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Func, Prefetch, QuerySet, UUIDField, Value
from django.http import HttpRequest
from django.template.defaultfilters import floatformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..codes import isrc_code
from ..errors import NotEncoded
from ..models import ModelRelease, Song, SongEmbedding, State
from ..reasons import short_text
from ..selectors.search import search_songs
from ..selectors.similar import posts_for_song, similar_songs
from ..services.catalogue import TIDIED, save_song, set_editorial, set_status, tidy
from ..services.queue import queue_songs
from .base import STATES, Styled, badge, picture, song_link

# Reasons for which a song is not encoded and cannot be suggested.
CANNOT_BE_ENCODED = {"no_lyrics": _("No lyrics"), "unsupported_language": _("Language not supported")}
NEIGHBOURS = 8


@dataclass
class Clip:
    name: str
    url: str

    def __str__(self) -> str:
        return self.name


class PreviewInput(AdminFileWidget):
    """A file input that links to the view that serves clips: the host may not serve the storage's own address."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        if context["widget"]["is_initial"]:
            song = context["widget"]["value"].instance
            context["widget"]["value"] = Clip(str(value), reverse("socialsongs:song-preview", args=[song.pk]))
        return context


class SongForm(forms.ModelForm):  # type: ignore[type-arg]
    # Longer than the model's fields: hyphens, and codes of three letters, which are normalised.
    isrc = forms.CharField(label="ISRC", max_length=30, required=False)
    markets = SimpleArrayField(
        forms.CharField(max_length=10),
        label=_("Markets"),
        required=False,
        help_text=Song._meta.get_field("markets").help_text,
    )
    notes: Sequence[str] = ()  # what ``tidy`` changed, for the message after saving

    def clean(self) -> dict[str, Any]:
        """Tidy the values before the model's checks, so that their errors are errors of the form."""
        given = {name: self.cleaned_data[name] for name in TIDIED if name in self.cleaned_data}
        song = Song(**given)
        try:
            self.notes = tidy(song=song)
        except ValidationError as error:
            self.add_error(None, error)
        return self.cleaned_data | {name: getattr(song, name) for name in given if name in self.cleaned_data}


def _isrc(text: str) -> str:
    """Return the normalised ISRC; empty when the text is none."""
    try:
        return isrc_code(text)
    except ValueError:
        return ""


class EncodingFilter(admin.SimpleListFilter):
    title = _("encoding (active release)")
    parameter_name = "encoding"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = [*State.choices, *CANNOT_BE_ENCODED.items()]
        return [*((code, str(text)) for code, text in known), ("missing", gettext("Missing"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Song]) -> QuerySet[Song]:
        rows = SongEmbedding.objects.filter(release__state=ModelRelease.State.ACTIVE)
        if self.value() == "missing":
            return queryset.exclude(pk__in=rows.values("song"))
        if self.value() in CANNOT_BE_ENCODED:
            return queryset.filter(pk__in=rows.filter(reason=self.value()).values("song"))
        if self.value():
            return queryset.filter(pk__in=rows.filter(state=self.value()).values("song"))
        return queryset


@admin.register(Song)
class SongAdmin(Styled):
    form = SongForm
    list_display = ["title", "artist", "genre", "language", "status_badge", "encoding", "explicit", "popularity",
                    "editorial"]  # fmt: skip
    list_filter = ["status", EncodingFilter, "editorial", "explicit", "language", "genre"]
    search_fields = ["title", "artist", "album", "lyrics", "isrc"]
    ordering = ["-created_at"]
    list_per_page = 50
    show_full_result_count = False
    actions = ["publish", "retire", "to_draft", "encode_again", "offer", "no_longer_offer"]
    readonly_fields = ["encoding", "player", "similar", "fitting_posts", "source", "source_id", "created_at",
                       "updated_at"]  # fmt: skip
    save_on_top = True
    formfield_overrides = {
        models.FileField: {"widget": PreviewInput},
        models.URLField: {"assume_scheme": "https"},
    }
    fieldsets = [
        (None, {"fields": [("title", "artist"), ("album", "year"), ("status", "explicit"), "encoding"]}),
        (_("Lyrics"), {"fields": ["lyrics", "synced_lyrics", "language"]}),
        (_("Filters and ranking"), {"fields": [("genre", "popularity"), ("moods", "themes"), "markets", "editorial"]}),
        (
            _("Preview"),
            {
                "fields": [
                    "preview_file",
                    "preview_url",
                    ("preview_start_ms", "preview_length_ms"),
                    "player",
                    "artwork_url",
                ]
            },
        ),
        (_("Rights and ids"), {"fields": ["licence", ("isrc", "musicbrainz_id"), ("source", "source_id")]}),
        (_("Matches by lyrics"), {"fields": ["similar", "fitting_posts"]}),
        (_("Dates"), {"fields": [("created_at", "updated_at")]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Song]:
        active = SongEmbedding.objects.filter(release__state=ModelRelease.State.ACTIVE).defer(
            "stage_one", "line_states"
        )
        return (
            super().get_queryset(request).prefetch_related(Prefetch("embeddings", active, to_attr="active_embedding"))
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Song], search_term: str
    ) -> tuple[QuerySet[Song], bool]:
        """Order hits by rank unless the person sorts by a column; an ISRC finds its song alone."""
        if not search_term.strip():
            return queryset, False
        if isrc := _isrc(search_term):
            return queryset.filter(isrc=isrc), False
        found = [hit.pk for hit in search_songs(songs=queryset, text=search_term)]
        queryset = queryset.filter(pk__in=found)
        if ORDER_VAR not in request.GET:
            rank = Func(Value(found, ArrayField(UUIDField())), "pk", function="array_position")
            queryset = queryset.order_by(rank)
        return queryset, False

    def save_model(self, request: HttpRequest, obj: Song, form: Any, change: bool) -> None:
        save_song(song=obj)
        for note in form.notes:
            messages.warning(request, note)

    @admin.display(description=_("status"), ordering="status")
    def status_badge(self, song: Song) -> SafeString:
        return badge(song.status)

    @admin.display(description=_("encoding"))
    def encoding(self, song: Song) -> SafeString:
        found = getattr(song, "active_embedding", [])
        return badge(found[0].state, short_text(found[0].reason)) if found else badge("missing")

    @admin.display(description=_("listen"))
    def player(self, song: Song) -> str | SafeString:
        url = reverse("socialsongs:song-preview", args=[song.pk]) if song.preview_file else song.preview_url
        return format_html('<audio controls preload="none" src="{}"></audio>', url) if url else gettext("no preview")

    @admin.display(description=_("similar songs"))
    def similar(self, song: Song) -> str | SafeString:
        try:
            found = similar_songs(song=song, limit=NEIGHBOURS)
        except NotEncoded as error:
            return str(error)
        rows = ((song_link(other), floatformat(similarity, 2)) for other, similarity in found)
        return format_html_join("", "<div>{} ({})</div>", rows) or gettext("none")

    @admin.display(description=_("public posts that fit"))
    def fitting_posts(self, song: Song) -> str | SafeString:
        try:
            found = posts_for_song(song=song, limit=NEIGHBOURS)
        except NotEncoded as error:
            return str(error)
        rows = (
            (reverse("admin:socialsongs_post_change", args=[post.pk]), picture(post, post.photos.all()[0], 96))
            for post in found
        )
        return format_html_join(" ", '<a href="{}">{}</a>', rows) or gettext("none")

    @admin.action(description=_("Publish"), permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.PUBLISHED)

    @admin.action(description=_("Retire"), permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.RETIRED)

    @admin.action(description=_("Back to draft"), permissions=["change"])
    def to_draft(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        self._set(request, queryset, Song.Status.DRAFT)

    @admin.action(description=_("Encode the lyrics again"), permissions=["change"])
    def encode_again(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        rows = SongEmbedding.objects.filter(song__in=queryset.values("pk"))
        queue_songs(rows=rows)
        songs = queryset.count()
        said = ngettext("%(number)d song is queued.", "%(number)d songs are queued.", songs)
        messages.success(request, said % {"number": songs})

    @admin.action(description=_("Offer when no song clearly fits"), permissions=["change"])
    def offer(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        changed = set_editorial(songs=queryset, editorial=True)
        said = ngettext(
            "%(number)d song is now offered when no song clearly fits.",
            "%(number)d songs are now offered when no song clearly fits.",
            changed,
        )
        messages.success(request, said % {"number": changed})

    @admin.action(description=_("Do not offer when no song clearly fits"), permissions=["change"])
    def no_longer_offer(self, request: HttpRequest, queryset: QuerySet[Song]) -> None:
        changed = set_editorial(songs=queryset, editorial=False)
        said = ngettext(
            "%(number)d song is no longer offered when no song clearly fits.",
            "%(number)d songs are no longer offered when no song clearly fits.",
            changed,
        )
        messages.success(request, said % {"number": changed})

    def _set(self, request: HttpRequest, queryset: QuerySet[Song], status: str) -> None:
        changed = set_status(songs=list(queryset.values_list("pk", flat=True)), status=status)
        said = ngettext("%(number)d song is now %(status)s.", "%(number)d songs are now %(status)s.", changed)
        messages.success(request, said % {"number": changed, "status": STATES[status]})
