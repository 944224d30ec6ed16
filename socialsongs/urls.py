"""Everything a host includes: the poster's pages, the API and its schema."""

from django.urls import include, path

app_name = "socialsongs"

urlpatterns = [
    path("api/", include("socialsongs.api.urls")),
    path("", include("socialsongs.web.urls")),
]
