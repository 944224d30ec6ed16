from django.urls import path

from . import views
from .page import page

urlpatterns = [
    path("", page(views.home), name="home"),
    path("posts/<uuid:post_id>", page(views.post_page), name="post-page"),
    path("posts/<uuid:post_id>/progress", page(views.progress), name="post-progress"),
    path("posts/<uuid:post_id>/steer", page(views.steer), name="post-page-steer"),
    path("posts/<uuid:post_id>/retry", page(views.retry), name="post-page-retry"),
    path("posts/<uuid:post_id>/delete", page(views.delete), name="post-page-delete"),
    path("posts/<uuid:post_id>/songs/<uuid:song_id>/choose", page(views.choose), name="post-page-choose"),
    path("posts/<uuid:post_id>/songs/<uuid:song_id>/show", page(views.show_again), name="post-page-show"),
    path("posts/<uuid:post_id>/songs/show", page(views.show_again), name="post-page-show-all"),
    path("posts/<uuid:post_id>/songs/<uuid:song_id>/<str:kind>", page(views.feedback), name="post-page-feedback"),
    path("posts/<uuid:post_id>/unchoose", page(views.unchoose), name="post-page-unchoose"),
]
