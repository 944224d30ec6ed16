"""Health for probes; a host includes them under a prefix of its own. They ask for no login."""

from django.urls import path

from ..database import without_host_transaction, writer
from .probes import Health

app_name = "socialsongs_health"

DATABASE = ("health_check.checks.Database", {"alias": writer()})
# Liveness: does the web process work, with its servers?
ALIVE = [DATABASE, "health_check.checks.Cache", "health_check.checks.Storage"]
# Readiness: will an upload be analysed and answered?
READY = [DATABASE, "socialsongs.health.Broker", "socialsongs.health.Workers", "socialsongs.health.Consumers"]

urlpatterns = [
    path("", without_host_transaction(Health.as_view(checks=ALIVE)), name="alive"),
    path("ready/", without_host_transaction(Health.as_view(checks=READY)), name="ready"),
]
