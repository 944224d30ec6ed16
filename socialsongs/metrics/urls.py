from django.urls import path

from .scrape import Metrics

app_name = "socialsongs_metrics"
urlpatterns = [path("", Metrics.as_view(), name="metrics")]
