from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from .posts import PostChoice, PostDetail, PostFeedback, PostPhotoFile, PostRetry, Posts
from .songs import SongDetail, SongPreview, Songs

urlpatterns = [
    path("v1/posts", Posts.as_view(), name="posts"),
    path("v1/posts/<uuid:post_id>", PostDetail.as_view(), name="post"),
    path("v1/posts/<uuid:post_id>/retry", PostRetry.as_view(), name="post-retry"),
    path("v1/posts/<uuid:post_id>/photos/<int:position>", PostPhotoFile.as_view(), name="post-photo"),
    path("v1/posts/<uuid:post_id>/choice", PostChoice.as_view(), name="post-choice"),
    path("v1/posts/<uuid:post_id>/feedback", PostFeedback.as_view(), name="post-feedback"),
    path("v1/songs", Songs.as_view(), name="songs"),
    path("v1/songs/<uuid:song_id>", SongDetail.as_view(), name="song"),
    path("v1/songs/<uuid:song_id>/preview", SongPreview.as_view(), name="song-preview"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("schema/ui/", SpectacularSwaggerView.as_view(url_name="socialsongs:schema"), name="schema-ui"),
]
