from django.contrib import admin
from django.urls import include, path
from photos import views

app = [
    path("admin/", admin.site.urls),
    path("photos/<int:pk>/", views.photo_page, name="photo"),
    path("api/photos/", views.Photos.as_view()),
    path("api/photos/<int:pk>/", views.PhotoDetail.as_view()),
    path("songs/", include("socialsongs.urls")),
]
urlpatterns = [path("app/", include(app))]
