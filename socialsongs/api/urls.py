from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from .base import UnknownAddress
from .bulk_songs import BulkSongs, BulkStatus
from .clients import ExternalUserDetail, KeyDetail
from .contract import SPECTACULAR
from .feedback import HiddenSong, PostChoice, PostFeedback
from .posts import PostDetail, PostPhotoFile, PostRetry, Posts
from .recommendations import (
    HiddenSongOfText,
    PostRecommendation,
    PostRecommendations,
    TextFeedback,
    TextRecommendation,
    TextRecommendations,
)
from .schema import ContractGenerator
from .songs import FittingPosts, SimilarSongs, SongDetail, SongPreview, Songs
from .taste import TasteProfile
from .webhooks import Webhook, WebhookDeliveries, WebhookReplay, Webhooks, WebhookSecret, WebhookTest

# The views of the schema are in no schema: the host may use another generator for its own.
urlpatterns = [
    path("v1/posts", Posts.as_view(), name="posts"),
    path("v1/posts/<uuid:post_id>", PostDetail.as_view(), name="post"),
    path("v1/posts/<uuid:post_id>/retry", PostRetry.as_view(), name="post-retry"),
    path("v1/posts/<uuid:post_id>/photos/<int:position>", PostPhotoFile.as_view(), name="post-photo"),
    path("v1/posts/<uuid:post_id>/recommendations", PostRecommendations.as_view(), name="recommendations"),
    path(
        "v1/posts/<uuid:post_id>/recommendations/<uuid:request_id>", PostRecommendation.as_view(), name="recommendation"
    ),
    path("v1/posts/<uuid:post_id>/choice", PostChoice.as_view(), name="post-choice"),
    path("v1/posts/<uuid:post_id>/feedback", PostFeedback.as_view(), name="post-feedback"),
    path("v1/posts/<uuid:post_id>/hidden/<uuid:song_id>", HiddenSong.as_view(), name="post-hidden"),
    path("v1/recommendations", TextRecommendations.as_view(), name="text-recommendations"),
    path("v1/recommendations/<uuid:request_id>", TextRecommendation.as_view(), name="text-recommendation"),
    path("v1/recommendations/<uuid:request_id>/feedback", TextFeedback.as_view(), name="text-feedback"),
    path("v1/recommendations/<uuid:request_id>/hidden/<uuid:song_id>", HiddenSongOfText.as_view(), name="text-hidden"),
    path("v1/songs", Songs.as_view(), name="songs"),
    path("v1/songs/bulk", BulkSongs.as_view(), name="songs-bulk"),
    path("v1/songs/status", BulkStatus.as_view(), name="songs-status"),
    path("v1/songs/<uuid:song_id>", SongDetail.as_view(), name="song"),
    path("v1/songs/<uuid:song_id>/preview", SongPreview.as_view(), name="song-preview"),
    path("v1/songs/<uuid:song_id>/similar", SimilarSongs.as_view(), name="song-similar"),
    path("v1/songs/<uuid:song_id>/posts", FittingPosts.as_view(), name="song-posts"),
    path("v1/key", KeyDetail.as_view(), name="key"),
    path("v1/user", ExternalUserDetail.as_view(), name="user"),
    path("v1/taste", TasteProfile.as_view(), name="taste"),
    path("v1/webhooks", Webhooks.as_view(), name="webhooks"),
    path("v1/webhooks/<uuid:endpoint_id>", Webhook.as_view(), name="webhook"),
    path("v1/webhooks/<uuid:endpoint_id>/rotate", WebhookSecret.as_view(), name="webhook-rotate"),
    path("v1/webhooks/<uuid:endpoint_id>/test", WebhookTest.as_view(), name="webhook-test"),
    path("v1/webhooks/<uuid:endpoint_id>/replay", WebhookReplay.as_view(), name="webhook-replay"),
    path("v1/webhooks/<uuid:endpoint_id>/deliveries", WebhookDeliveries.as_view(), name="webhook-deliveries"),
    path(
        "schema/",
        SpectacularAPIView.as_view(generator_class=ContractGenerator, custom_settings=SPECTACULAR, schema=None),
        name="schema",
    ),
    path(
        "schema/ui/",
        SpectacularSwaggerSplitView.as_view(
            url_name="socialsongs:schema",
            template_name="socialsongs/schema.html",
            schema=None,
        ),
        name="schema-ui",
    ),
    # But for the schema's, to which the host may add its slash.
    re_path("^(?!schema(/ui)?$)", UnknownAddress.as_view()),
]
