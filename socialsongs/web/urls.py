from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("samples/<slug:name>", views.sample, name="sample"),
    path("posts/<uuid:post_id>", views.post_page, name="post-page"),
    path("posts/<uuid:post_id>/progress", views.progress, name="post-progress"),
    path("posts/<uuid:post_id>/steer", views.steer, name="post-page-steer"),
    path("posts/<uuid:post_id>/retry", views.retry, name="post-page-retry"),
    path("posts/<uuid:post_id>/delete", views.delete, name="post-page-delete"),
    path("posts/<uuid:post_id>/songs/<uuid:song_id>/choose", views.choose, name="post-page-choose"),
    path("posts/<uuid:post_id>/songs/<uuid:song_id>/<str:kind>", views.feedback, name="post-page-feedback"),
    path("posts/<uuid:post_id>/unchoose", views.unchoose, name="post-page-unchoose"),
]
