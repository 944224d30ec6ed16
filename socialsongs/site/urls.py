from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from health_check.views import HealthCheckView

CHECKS = ["health_check.checks.Database", "health_check.checks.Cache", "health_check.checks.Storage"]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("health/", HealthCheckView.as_view(checks=CHECKS), name="health"),
    path("", include("socialsongs.urls")),
]
