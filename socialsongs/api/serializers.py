"""The shapes of the contract."""

from __future__ import annotations

from typing import Any, cast

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from .. import reasons
from ..models import Feedback, Post, PostPhoto, Song, State, Suggestion
from ..selectors import posts as post_selectors


class TagSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["object", "attribute", "action", "scene"])
    score = serializers.FloatField(help_text="0 to 1")
    box = serializers.ListField(
        child=serializers.FloatField(), min_length=4, max_length=4, help_text="x0, y0, x1, y1 as fractions of the photo"
    )


class ReasonSerializer(serializers.Serializer[Any]):
    tag = serializers.CharField()
    kind = serializers.CharField()
    weight = serializers.FloatField()


class SongSerializer(serializers.ModelSerializer[Song]):
    preview_url = serializers.SerializerMethodField(help_text="A clip to play, or null.")

    class Meta:
        model = Song
        fields = [
            "id", "title", "artist", "album", "genre", "language", "year", "explicit", "moods", "themes",
            "artwork_url", "preview_url", "preview_start_ms", "isrc", "musicbrainz_id", "licence",
        ]  # fmt: skip

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_preview_url(self, song: Song) -> str | None:
        if song.preview_file:
            return _absolute(self, reverse("socialsongs:song-preview", args=[song.pk]))
        return song.preview_url or None


class SongDetailSerializer(SongSerializer):
    class Meta(SongSerializer.Meta):
        fields = [*SongSerializer.Meta.fields, "lyrics", "synced_lyrics"]


class LineSerializer(serializers.Serializer[Any]):
    text = serializers.CharField()
    place = serializers.IntegerField(help_text="Its place among the lyric's lines, blank ones counted, from 0.")
    before = serializers.ListField(child=serializers.CharField(), help_text="Up to two lines sung before it.")
    after = serializers.ListField(child=serializers.CharField(), help_text="Up to two lines sung after it.")


class SuggestionSerializer(serializers.ModelSerializer[Suggestion]):
    song = SongSerializer()
    line = serializers.SerializerMethodField(help_text="The lyric line that fits, or null.")
    reasons = ReasonSerializer(many=True, help_text="The photo's tags that speak for the song, strongest first.")
    release = serializers.CharField(source="release.name", help_text="The model release that suggested it.")

    class Meta:
        model = Suggestion
        fields = ["rank", "score", "confidence", "song", "line", "reasons", "clip_start_ms", "release"]

    @extend_schema_field(LineSerializer(allow_null=True))
    def get_line(self, suggestion: Suggestion) -> dict[str, Any] | None:
        excerpt = post_selectors.excerpt(suggestion=suggestion)
        return excerpt and excerpt._asdict()


class PhotoSerializer(serializers.ModelSerializer[PostPhoto]):
    url = serializers.SerializerMethodField()
    tags = serializers.SerializerMethodField(
        help_text="Best first. Empty: looked at, nothing found. Null: not looked at yet, or not yours to see."
    )

    class Meta:
        model = PostPhoto
        fields = ["url", "width", "height", "tags"]

    def get_url(self, photo: PostPhoto) -> str:
        return _absolute(self, reverse("socialsongs:post-photo", args=[photo.post_id, photo.position]))

    @extend_schema_field(TagSerializer(many=True, allow_null=True))
    def get_tags(self, photo: PostPhoto) -> list[dict[str, Any]] | None:
        if not self.context["manages"]:
            return None
        analysis = post_selectors.analysis(photo=photo)
        return None if analysis is None else analysis.tags


class FailureSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class PostSummarySerializer(serializers.ModelSerializer[Post]):
    url = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=State.choices)
    failure = serializers.SerializerMethodField(help_text="Why it failed, or null.")
    chosen_song = SongSerializer(allow_null=True)
    visibility = serializers.ChoiceField(choices=Post.Visibility.choices)

    class Meta:
        model = Post
        fields = ["id", "url", "state", "failure", "caption", "visibility", "created_at", "chosen_song"]

    def get_url(self, post: Post) -> str:
        return _absolute(self, reverse("socialsongs:post", args=[post.pk]))

    @extend_schema_field(FailureSerializer(allow_null=True))
    def get_failure(self, post: Post) -> dict[str, str] | None:
        if post.state != State.FAILED:
            return None
        return {"code": post.reason, "detail": reasons.text_of(post.reason)}


class PostSerializer(PostSummarySerializer):
    photos = PhotoSerializer(many=True)
    confident = serializers.SerializerMethodField(
        help_text="False: no song fits clearly, the suggestions are the nearest ones. Null as suggestions are."
    )
    suggestions = serializers.SerializerMethodField(
        help_text="Best first. Null until the post is ready, and for anyone but its owner and staff."
    )

    class Meta(PostSummarySerializer.Meta):
        fields = [*PostSummarySerializer.Meta.fields, "photos", "confident", "suggestions"]

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_confident(self, post: Post) -> bool | None:
        if not self.context["manages"] or post.state != State.READY:
            return None
        return post_selectors.is_confident(post=post)

    @extend_schema_field(SuggestionSerializer(many=True, allow_null=True))
    def get_suggestions(self, post: Post) -> list[Any] | None:
        if not self.context["manages"] or post.state != State.READY:
            return None
        found = post_selectors.suggestions(post=post)
        return cast(list[Any], SuggestionSerializer(found, many=True, context=self.context).data)


class NewPostSerializer(serializers.Serializer[Any]):
    photos = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), help_text="One to ten files: JPEG, PNG, WebP or HEIC."
    )
    caption = serializers.CharField(required=False, allow_blank=True, default="", max_length=2200)
    visibility = serializers.ChoiceField(
        choices=Post.Visibility.choices, required=False, default=Post.Visibility.PRIVATE
    )


class ChoiceSerializer(serializers.Serializer[Any]):
    song = serializers.UUIDField()


class EventSerializer(serializers.Serializer[Any]):
    song = serializers.UUIDField()
    kind = serializers.ChoiceField(
        choices=[kind for kind in Feedback.Kind.choices if kind[0] != Feedback.Kind.CHOOSE],
        help_text="A choice is made with /choice.",
    )


class FeedbackSerializer(serializers.Serializer[Any]):
    events = EventSerializer(many=True, allow_empty=False)


class RecordedSerializer(serializers.Serializer[Any]):
    recorded = serializers.IntegerField(help_text="New events")
    known = serializers.IntegerField(help_text="Events that were told before; they count once.")


def _absolute(serializer: serializers.BaseSerializer[Any], path: str) -> str:
    return str(serializer.context["request"].build_absolute_uri(path))
