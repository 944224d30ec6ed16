"""What the API takes and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from .. import reasons
from ..codes import LANGUAGE_FORM, MARKET_FORM, language_code, market_code
from ..conf import config
from ..models import Feedback, Post, PostPhoto, RecommendationRequest, Rule, Song, State, Suggestion
from ..models.suggestion import WISH
from ..selectors import posts as post_selectors
from ..services.bulk_songs import MOST_SONGS
from ..services.import_songs import FIELDS

Row = TypeVar("Row", bound=Model)

TAG_KINDS = ["object", "attribute", "action", "scene"]


class TagSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=TAG_KINDS)
    score = serializers.FloatField(help_text="0 to 1")
    box = serializers.ListField(
        child=serializers.FloatField(), min_length=4, max_length=4, help_text="x0, y0, x1, y1 as fractions of the photo"
    )


class ReasonSerializer(serializers.Serializer[Any]):
    tag = serializers.CharField(help_text="A tag of the photo, the name of a rule, or words of the text.")
    kind = serializers.ChoiceField(
        choices=[*TAG_KINDS, Rule.Action.PIN, Rule.Action.BOOST, Rule.Action.BURY, WISH],
        help_text="Of a tag: object, attribute, action or scene. Of a rule of the site's staff: pin, boost or bury. Of "
        "words of the request's text: wish.",
    )
    weight = serializers.FloatField()


class Columns(serializers.ModelSerializer[Row]):
    """Answers with the columns of a row as they are, but for those with a method ``get_<name>``.

    DRF's fields come to the same in ten times the time, which counts for lists of songs.
    """

    def to_representation(self, instance: Row) -> dict[str, Any]:
        return {
            name: getattr(instance, name) if (found := getattr(self, f"get_{name}", None)) is None else found(instance)
            for name in self.Meta.fields
        }


class SongSerializer(Columns[Song]):
    artwork_url = serializers.CharField(help_text="Address of a picture, or empty.")
    preview_url = serializers.SerializerMethodField(help_text="Address of a clip to play, or null.")

    class Meta:
        model = Song
        fields = [
            "id", "title", "artist", "album", "genre", "language", "year", "explicit", "moods", "themes",
            "artwork_url", "preview_url", "preview_start_ms", "preview_length_ms", "isrc", "musicbrainz_id", "licence",
        ]  # fmt: skip

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_preview_url(self, song: Song) -> str | None:
        if song.preview_file:
            return _absolute(self, reverse("socialsongs:song-preview", args=[song.pk]))
        return song.preview_url or None


class SongDetailSerializer(SongSerializer):
    class Meta(SongSerializer.Meta):
        fields = [*SongSerializer.Meta.fields, "lyrics", "synced_lyrics"]


class SimilarSongSerializer(SongSerializer):
    similarity = serializers.SerializerMethodField(help_text="0 to 1")

    class Meta(SongSerializer.Meta):
        fields = [*SongSerializer.Meta.fields, "similarity"]

    def get_similarity(self, song: Song) -> float:
        similarity: float = self.context["similarity"][song.pk]
        return similarity


class LineSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    place = serializers.IntegerField(help_text="Index of the line in the lyrics, from 0; blank lines count.")
    before = serializers.ListField(child=serializers.CharField(), help_text="Up to two sung lines before it.")
    after = serializers.ListField(child=serializers.CharField(), help_text="Up to two sung lines after it.")


class SuggestionSerializer(Columns[Suggestion]):
    song = SongSerializer()
    line = serializers.SerializerMethodField(help_text="The lyric line that fits, or null.")
    reasons = ReasonSerializer(
        many=True,
        help_text="Rules of the site's staff first, then words of the text that led to the song, then the photo's tags "
        "that speak for it, strongest first.",
    )
    origin = serializers.ChoiceField(
        choices=Suggestion.Origin.choices,
        help_text="How the song came into the list. `match`: by its relevance. `exploration`: from further down, so "
        "that the site can learn. `pin`: the site's staff put it there. When no song clearly fits: `editorial` "
        "(offered by staff to any photo), `popular`, and `nearest` (highest relevance): last, or first with a text.",
    )
    release = serializers.CharField(help_text="Name of the release that suggested it.")

    class Meta:
        model = Suggestion
        fields = ["rank", "score", "confidence", "origin", "song", "line", "reasons", "clip_start_ms", "release"]

    def get_song(self, suggestion: Suggestion) -> dict[str, Any]:
        song: dict[str, Any] = self.fields["song"].to_representation(suggestion.song)
        return song

    def get_release(self, suggestion: Suggestion) -> str:
        name: str = suggestion.release_name  # type: ignore[attr-defined]  # ``suggestions_of`` adds it
        return name

    @extend_schema_field(LineSerializer(allow_null=True))
    def get_line(self, suggestion: Suggestion) -> dict[str, Any] | None:
        excerpt = post_selectors.excerpt(suggestion=suggestion)
        return excerpt and excerpt._asdict()


class PhotoSerializer(serializers.ModelSerializer[PostPhoto]):
    url = serializers.SerializerMethodField()
    tags = serializers.SerializerMethodField(
        help_text="Best first. Empty: analysed, nothing recognised. Null: not analysed yet, or you may not see them."
    )

    class Meta:
        model = PostPhoto
        fields = ["url", "width", "height", "tags"]
        extra_kwargs = {
            name: {"help_text": "In pixels. Null for a photo of the site's own, which is measured nowhere."}
            for name in ("width", "height")
        }

    @extend_schema_field(serializers.URLField())
    def get_url(self, photo: PostPhoto) -> str:
        return _absolute(self, reverse("socialsongs:post-photo", args=[photo.post_id, photo.position]))

    @extend_schema_field(TagSerializer(many=True, allow_null=True))
    def get_tags(self, photo: PostPhoto) -> list[dict[str, Any]] | None:
        tags: dict[UUID, list[dict[str, Any]]] = self.context["tags"]
        return tags.get(photo.pk)


class FailureSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class NoticeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField(help_text="What happened and what to do.")


class AttachedPhotoSerializer(serializers.Serializer[Any]):
    model = serializers.CharField(help_text="Name of the site's model, e.g. photos.photo.")
    id = serializers.CharField(help_text="Key of its row, as text.")


class PostSummarySerializer(serializers.ModelSerializer[Post]):
    url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=State.choices)
    failure = serializers.SerializerMethodField(help_text="Why the work failed, or null.")
    chosen_song = SongSerializer(allow_null=True)
    visibility = serializers.ChoiceField(choices=Post.Visibility.choices)
    attached_photo = serializers.SerializerMethodField(
        help_text="The photo of the site's own to which the post belongs; null for a post with photos of its own."
    )

    class Meta:
        model = Post
        fields = [
            "id", "url", "state", "failure", "caption", "visibility", "created_at", "chosen_song", "attached_photo",
        ]  # fmt: skip

    @extend_schema_field(AttachedPhotoSerializer(allow_null=True))
    def get_attached_photo(self, post: Post) -> dict[str, str] | None:
        return None if post.subject is None else {"model": post.subject.label, "id": post.subject.object_id}

    @extend_schema_field(serializers.URLField())
    def get_url(self, post: Post) -> str:
        return _absolute(self, reverse("socialsongs:post", args=[post.pk]))

    @extend_schema_field(FailureSerializer(allow_null=True))
    def get_failure(self, post: Post) -> dict[str, str] | None:
        return _failure(post.state, post.reason)


CONFIDENT = (
    "False: no song clearly fits, and the suggestions are a guess: songs that staff offer to any photo, popular "
    "ones, and the nearest ones, which come first with a text; see `origin`. Null where `suggestions` is null."
)
NOTICE = (
    "Null, or why there are few songs or none: `not_encoded` (songs that pass the filters are not encoded yet: ask "
    "again in a few minutes), `no_songs` (no published song passes the filters), `fewer_songs` (fewer songs pass than "
    "`limit`), `blocked` (rules of the site's staff leave none)."
)


# Context: ``asked``, the default request, and ``shown``, its suggestions; both None unless the post is ready and the
# person manages it. ``tags``: by photo, those that the person may see.
class PostSerializer(PostSummarySerializer):
    photos = PhotoSerializer(many=True)
    request = serializers.SerializerMethodField(
        help_text="Id of the post's default request; a choice can name it. Null where `suggestions` is null."
    )
    confident = serializers.SerializerMethodField(help_text=CONFIDENT)
    notice = serializers.SerializerMethodField(help_text=NOTICE)
    suggestions = serializers.SerializerMethodField(
        help_text="Best first. Null until the post is ready; only its owner and people who may view all posts see them."
    )

    class Meta(PostSummarySerializer.Meta):
        fields = [*PostSummarySerializer.Meta.fields, "photos", "request", "confident", "notice", "suggestions"]

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_request(self, post: Post) -> str | None:
        asked: RecommendationRequest | None = self.context["asked"]
        return None if asked is None else str(asked.pk)

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_confident(self, post: Post) -> bool | None:
        asked: RecommendationRequest | None = self.context["asked"]
        return None if asked is None else asked.confident

    @extend_schema_field(NoticeSerializer(allow_null=True))
    def get_notice(self, post: Post) -> dict[str, str] | None:
        asked: RecommendationRequest | None = self.context["asked"]
        return None if asked is None else reasons.describe_notice(asked.notice)

    @extend_schema_field(SuggestionSerializer(many=True, allow_null=True))
    def get_suggestions(self, post: Post) -> list[Any] | None:
        return _suggestions(self)


# What JSON has for a field, where DRF takes more: 1 for true, "5" for 5, 5 for "5".
JSON_TYPES: dict[type[serializers.Field[Any, Any, Any, Any]], tuple[type, Any]] = {
    serializers.BooleanField: (bool, gettext_lazy("Give true or false.")),
    serializers.IntegerField: (int, gettext_lazy("Give a whole number.")),
    serializers.CharField: (str, gettext_lazy("Give a text.")),
}


MOST_UNKNOWN = 10  # unknown keys that an error names: each of them repeats the known ones


# Refuses unknown keys, so that a mistyped key is an error and not ignored; and values of another type than the
# schema's.
class Strict(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        given = data if isinstance(data, dict) else {}
        unknown = [name for name in given if name not in self.fields][:MOST_UNKNOWN]
        found = {name: self._problem(name, given[name]) for name in [*self.fields, *unknown] if name in given}
        wrong: Any = {name: [text] for name, text in sorted(found.items()) if text}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**wrong, **cast("Any", error.detail), **wrong}) from None
        if wrong:
            raise serializers.ValidationError(wrong)
        return values

    def _problem(self, name: str, value: Any) -> str:
        if name not in self.fields:
            return _("There is no such key. Known: %(known)s.") % {"known": ", ".join(self.fields)}
        for kind, (accepted, problem) in JSON_TYPES.items():
            if isinstance(self.fields[name], kind) and value is not None and type(value) is not accepted:
                return str(problem)
        return ""


class IdField(serializers.UUIDField):
    def to_internal_value(self, data: Any) -> Any:
        """Refuse numbers, which DRF takes."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class SongIds(serializers.ListField):
    child = IdField()

    def to_internal_value(self, data: Any) -> list[Any]:
        """Check the length first: too many ids are one error, not one for each id."""
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


def normalised_code(code_of: Callable[[str], str], text: str) -> str:
    try:
        return code_of(text)
    except ValueError as error:
        raise serializers.ValidationError(str(error)) from None


class RecommendationParametersSerializer(Strict):
    """Parameters of a request, all optional. The parameters of an answer can be sent again."""

    limit = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text="Most songs of the answer. The site sets the default and the maximum.",
    )
    exclude = SongIds(required=False, max_length=1000, help_text="Ids of songs to leave out.")
    market = serializers.RegexField(
        MARKET_FORM,
        required=False,
        allow_null=True,
        error_messages={"invalid": "A country code of ISO 3166, e.g. DE."},
        help_text="Only songs that may be shown in this country, ISO 3166, e.g. DE. Null: the site's default.",
    )
    language = serializers.RegexField(
        LANGUAGE_FORM,
        required=False,
        allow_null=True,
        max_length=35,
        error_messages={"invalid": gettext_lazy("A language tag of BCP 47, e.g. en or pt-BR.")},
        help_text="Only songs in this language, BCP 47, e.g. en or pt-BR. Null: any.",
    )
    explicit = serializers.BooleanField(required=False, help_text="Whether songs may be explicit; false by default.")
    genre = serializers.CharField(
        required=False, allow_null=True, max_length=60, help_text="Only songs of this genre. Null: any."
    )
    text = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=500,
        help_text="What the songs should be like, in words, e.g. upbeat, no heartbreak.",
    )

    def validate_limit(self, limit: int) -> int:
        if limit > (most := config().MAX_SUGGESTIONS):
            raise serializers.ValidationError(_("At most %(most)s.") % {"most": most})
        return limit

    def validate_exclude(self, exclude: list[Any]) -> list[str]:
        return [str(song) for song in dict.fromkeys(exclude)]

    def validate_market(self, market: str | None) -> str | None:
        return market and normalised_code(market_code, market)

    def validate_language(self, language: str | None) -> str | None:
        return language and normalised_code(language_code, language)

    def validate_text(self, text: str) -> str:
        if text and not any(map(str.isalnum, text)):
            raise serializers.ValidationError(_("Write words: this text has no letter or digit."))
        return text


class TextParametersSerializer(RecommendationParametersSerializer):
    """Parameters of a request for a text alone: the text, and the others, all optional."""

    text = serializers.CharField(
        max_length=500, help_text="What the songs should be about or sound like, in words, e.g. a walk by the sea."
    )


# Context: ``shown``, the suggestions, or None until the request is ready.
class RecommendationsSerializer(serializers.ModelSerializer[RecommendationRequest]):
    url = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()
    failure = serializers.SerializerMethodField(help_text="Why the work failed, or null.")
    parameters = serializers.SerializerMethodField(help_text="As requested, with defaults for the others.")
    confident = serializers.SerializerMethodField(help_text=CONFIDENT)
    notice = serializers.SerializerMethodField(help_text=NOTICE)
    unused = serializers.SerializerMethodField(
        help_text="Words of the text that have no effect on the list, as they were sent. Null until ready."
    )
    suggestions = serializers.SerializerMethodField(help_text="Best first. Null until ready.")

    class Meta:
        model = RecommendationRequest
        fields = [
            "id",
            "url",
            "state",
            "failure",
            "parameters",
            "created_at",
            "confident",
            "notice",
            "unused",
            "suggestions",
        ]

    @extend_schema_field(serializers.URLField())
    def get_url(self, asked: RecommendationRequest) -> str:
        if asked.post_id is None:
            return _absolute(self, reverse("socialsongs:text-recommendation", args=[asked.pk]))
        return _absolute(self, reverse("socialsongs:recommendation", args=[asked.post_id, asked.pk]))

    @extend_schema_field(serializers.ChoiceField(choices=State.choices))
    def get_state(self, asked: RecommendationRequest) -> str:
        return post_selectors.state_of(request=asked)[0]

    @extend_schema_field(FailureSerializer(allow_null=True))
    def get_failure(self, asked: RecommendationRequest) -> dict[str, str] | None:
        return _failure(*post_selectors.state_of(request=asked))

    @extend_schema_field(RecommendationParametersSerializer)
    def get_parameters(self, asked: RecommendationRequest) -> dict[str, Any]:
        return {**post_selectors.default_parameters(), **asked.parameters, "text": asked.text}

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_confident(self, asked: RecommendationRequest) -> bool | None:
        return asked.confident if asked.state == State.READY else None

    @extend_schema_field(NoticeSerializer(allow_null=True))
    def get_notice(self, asked: RecommendationRequest) -> dict[str, str] | None:
        return reasons.describe_notice(asked.notice) if asked.state == State.READY else None

    @extend_schema_field(serializers.ListField(child=serializers.CharField(), allow_null=True))
    def get_unused(self, asked: RecommendationRequest) -> list[str] | None:
        return (asked.unused or []) if asked.state == State.READY else None

    @extend_schema_field(SuggestionSerializer(many=True, allow_null=True))
    def get_suggestions(self, asked: RecommendationRequest) -> list[Any] | None:
        return _suggestions(self)


# The service refuses a post without photos: 422 ``no_photo``.
@extend_schema_field({"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1})
class Photos(serializers.ListField):
    pass


class NewPostSerializer(Strict):
    photos = Photos(
        child=serializers.FileField(
            allow_empty_file=True,
            error_messages={
                "invalid": gettext_lazy("Send each photo as a file: its part of the body needs a filename.")
            },
        ),
        help_text="JPEG, PNG, WebP or HEIC; one or more files, as many as the site allows.",
    )
    caption = serializers.CharField(required=False, allow_blank=True, default="", max_length=2200)
    visibility = serializers.ChoiceField(
        choices=Post.Visibility.choices, required=False, default=Post.Visibility.PRIVATE
    )


class SongSearchSerializer(serializers.Serializer[Any]):
    q = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=500,
        help_text="Words, or beginnings of words, in title, artist, album or lyrics. Best first.",
    )
    language = serializers.RegexField(
        f"{LANGUAGE_FORM}|^$",
        default="",
        allow_blank=True,
        max_length=35,
        error_messages={"invalid": gettext_lazy("A language tag of BCP 47, e.g. en or pt-BR.")},
        help_text="Language of the song, BCP 47, e.g. en",
    )
    genre = serializers.CharField(default="", allow_blank=True)
    explicit = serializers.BooleanField(default=True, help_text="Whether explicit songs are listed.")

    def to_internal_value(self, data: Any) -> Any:
        """Refuse an empty value of a flag, which DRF takes for a missing one."""
        if data.get("explicit") == "":
            raise serializers.ValidationError({"explicit": [_("Give true or false.")]})
        return super().to_internal_value(data)

    def validate_language(self, language: str) -> str:
        return language and normalised_code(language_code, language)


class LimitSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=50, default=10)


SONG_NOTICE = "Null, or `not_encoded`: this song is not encoded yet, so that nothing can be found by its lyrics."


class SimilarSongsSerializer(serializers.Serializer[Any]):
    results = SimilarSongSerializer(many=True)
    notice = NoticeSerializer(allow_null=True, help_text=SONG_NOTICE)


class FittingPostsSerializer(serializers.Serializer[Any]):
    results = PostSummarySerializer(many=True)
    notice = NoticeSerializer(allow_null=True, help_text=SONG_NOTICE)


# For the schema: ``services.bulk_songs`` checks the rows, so that a bad one is refused alone.
@extend_schema_serializer(component_name="SongRow")
class SongRowSerializer(Strict, serializers.ModelSerializer[Song]):
    """A song; what is left out gets its default. A row that is no such song is refused alone."""

    id = serializers.CharField(max_length=100, help_text="Its id in the source; a whole number is taken, too.")

    class Meta:
        model = Song
        fields = ("id", *FIELDS)


class SongRows(serializers.ListSerializer[Any]):
    def to_internal_value(self, data: Any) -> list[Any]:
        """Check the length alone."""
        if not isinstance(data, list) or not 1 <= len(data) <= MOST_SONGS:
            raise serializers.ValidationError(_("A list of at least one and at most %(most)s.") % {"most": MOST_SONGS})
        return data


class BulkSongsSerializer(Strict):
    source = serializers.CharField(  # type: ignore[assignment]  # the metaclass takes it off the class
        max_length=100, help_text="Name of the source of these songs. Source and id identify a song."
    )
    status = serializers.ChoiceField(
        choices=[Song.Status.DRAFT, Song.Status.PUBLISHED],
        required=False,
        default=Song.Status.DRAFT,
        help_text="Of new songs; known ones keep theirs.",
    )
    songs = SongRows(
        child=SongRowSerializer(), allow_empty=False, max_length=MOST_SONGS, help_text=f"At most {MOST_SONGS}."
    )


class BulkStatusSerializer(Strict):
    source = serializers.CharField(  # type: ignore[assignment]  # the metaclass takes it off the class
        max_length=100, help_text="Name of the source of these songs."
    )
    ids = serializers.ListField(
        child=serializers.CharField(max_length=100),
        min_length=1,
        max_length=MOST_SONGS,
        help_text=f"Ids of songs in the source, at most {MOST_SONGS}.",
    )
    status = serializers.ChoiceField(choices=Song.Status.choices)


class BulkResultSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(allow_null=True, help_text="As sent; null where the row had none.")
    result = serializers.ChoiceField(choices=["created", "updated", "unchanged", "refused"])
    song = serializers.UUIDField(allow_null=True, help_text="Our id of the song; null for a refused row.")
    errors = serializers.DictField(  # type: ignore[assignment]  # shadows a property that only is_valid() fills
        child=serializers.ListField(child=serializers.CharField()), help_text="Of a refused row, by field."
    )


class BulkResultsSerializer(serializers.Serializer[Any]):
    WORDS = ("created", "updated", "unchanged", "refused")

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = BulkResultSerializer(many=True, help_text="One for each row, in order.")


class StatusResultSerializer(BulkResultSerializer):
    result = serializers.ChoiceField(choices=["updated", "unchanged", "unknown"])


class StatusResultsSerializer(serializers.Serializer[Any]):
    WORDS = ("updated", "unchanged", "unknown")

    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="Ids that no song of this source has.")
    results = StatusResultSerializer(many=True, help_text="One for each id, in order.")


class TasteSerializer(serializers.Serializer[Any]):
    offered = serializers.BooleanField(help_text="Whether this site offers to adapt suggestions to your taste.")
    enabled = serializers.BooleanField(help_text="False: you turned it off, or the site does not offer it.")
    since = serializers.DateTimeField(allow_null=True, help_text="Choices and skips before this time do not count.")
    chosen = SongSerializer(many=True, help_text="Songs that you chose, newest first.")
    skipped = SongSerializer(many=True, help_text="Songs that you skipped or hid, newest first.")


class TasteSwitchSerializer(Strict):
    enabled = serializers.BooleanField()


# Context: ``post``, whose requests may be named.
class RequestField(serializers.PrimaryKeyRelatedField[RecommendationRequest]):
    def __init__(self) -> None:
        super().__init__(
            pk_field=IdField(),
            required=False,
            error_messages={"does_not_exist": gettext_lazy("This post has no request with the id {pk_value}.")},
            help_text="The request whose list has the song. Default: the newest list with the song, first of those "
            "that you were shown.",
        )

    def get_queryset(self) -> QuerySet[RecommendationRequest]:
        post: Post = self.context["post"]
        return post.requests.all()


class ChoiceSerializer(Strict):
    song = IdField()
    request = RequestField()


class EventSerializer(Strict):
    song = IdField()
    kind = serializers.ChoiceField(
        choices=[Feedback.Kind.PLAY, Feedback.Kind.SKIP, Feedback.Kind.HIDE],
        help_text="To choose a song, use /choice. The server records impressions itself.",
    )
    request = RequestField()


class FeedbackSerializer(Strict):
    events = EventSerializer(many=True, allow_empty=False, max_length=100, help_text="At most 100.")  # type: ignore[call-arg]


class TextEventSerializer(Strict):
    song = IdField()
    kind = serializers.ChoiceField(
        choices=[Feedback.Kind.PLAY, Feedback.Kind.SKIP, Feedback.Kind.HIDE, Feedback.Kind.CHOOSE],
        help_text="The server records impressions itself.",
    )


class TextFeedbackSerializer(Strict):
    events = TextEventSerializer(many=True, allow_empty=False, max_length=100, help_text="At most 100.")  # type: ignore[call-arg]


class RecordedSerializer(serializers.Serializer[Any]):
    recorded = serializers.IntegerField(help_text="Events that are new.")
    known = serializers.IntegerField(help_text="Events that were recorded before; they count once.")


def _absolute(serializer: serializers.BaseSerializer[Any], path: str) -> str:
    return str(serializer.context["request"].build_absolute_uri(path))


def _failure(state: str, reason: str) -> dict[str, str] | None:
    return {"code": reason, "detail": reasons.failure_text(reason)} if state == State.FAILED else None


def _suggestions(serializer: serializers.BaseSerializer[Any]) -> list[Any] | None:
    shown: list[Suggestion] | None = serializer.context["shown"]
    if shown is None:
        return None
    return cast(list[Any], SuggestionSerializer(shown, many=True, context=serializer.context).data)
