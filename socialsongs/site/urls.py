from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView
from rest_framework.authentication import SessionAuthentication

from ..metrics.scrape import Metrics
from ..web.page import page
from .passwords import OwnPasswordForm
from .sample_photos import home_with_samples, sample_photo
from .tokens import MetricsAuthentication

handler400 = "socialsongs.site.refusals.bad_request"
handler500 = "socialsongs.site.refusals.server_error"

urlpatterns = [
    path("admin/password_change/", RedirectView.as_view(pattern_name="password_change")),
    path("admin/", admin.site.urls),
    path("accounts/login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path(
        "accounts/password/",
        never_cache(
            auth_views.PasswordChangeView.as_view(
                form_class=OwnPasswordForm, template_name="socialsongs_site/password.html"
            )
        ),
        name="password_change",
    ),
    path(
        "accounts/password/done/",
        never_cache(
            auth_views.PasswordChangeDoneView.as_view(
                template_name="socialsongs_site/password.html", extra_context={"done": True}
            )
        ),
        name="password_change_done",
    ),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("health/", include("socialsongs.health.urls")),
    path("metrics/", Metrics.as_view(authentication_classes=[MetricsAuthentication, SessionAuthentication])),
    path("", page(home_with_samples)),
    path("samples/<slug:name>", page(sample_photo), name="sample"),
    path("", include("socialsongs.urls")),
]
