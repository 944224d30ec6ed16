"""Metrics for Prometheus, computed from rows at each scrape, so that all processes answer the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from ..api.base import ApiView
from ..selectors import monitoring
from ..selectors.permissions import permitted
from ..selectors.workers import deafness


class Rows(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from work()
        yield from events()
        yield from releases()
        yield from workers()
        yield ready()


def work() -> Iterator[Metric]:
    lane = ["lane", "kind"]
    pending = GaugeMetricFamily("socialsongs_pending", "Rows that wait or are being worked on", labels=lane)
    oldest = GaugeMetricFamily("socialsongs_oldest_pending_seconds", "Age of the oldest of them", labels=lane)
    for row in monitoring.pending():
        pending.add_metric([row.lane, row.kind], row.rows)
        oldest.add_metric([row.lane, row.kind], row.oldest_seconds)
    failed = GaugeMetricFamily("socialsongs_failed", "Rows that failed", labels=["kind", "reason"])
    for failure in monitoring.failed():
        failed.add_metric([failure.kind, failure.reason], failure.rows)
    yield from (pending, oldest, failed)


def events() -> Iterator[Metric]:
    kind = ["kind"]
    waiting = GaugeMetricFamily("socialsongs_undelivered", "Signals and webhooks that wait to be sent", labels=kind)
    oldest = GaugeMetricFamily("socialsongs_oldest_undelivered_seconds", "Age of the oldest of them", labels=kind)
    failed = GaugeMetricFamily("socialsongs_delivery_failed", "Signals and webhooks that failed", labels=kind)
    for row in monitoring.undelivered():
        waiting.add_metric([row.kind], row.waiting)
        oldest.add_metric([row.kind], row.oldest_seconds)
        failed.add_metric([row.kind], row.failed)
    endpoints = GaugeMetricFamily("socialsongs_webhook_endpoints", "Endpoints by state", labels=["state"])
    for state, count in monitoring.endpoint_states().items():
        endpoints.add_metric([state], count)
    yield from (waiting, oldest, failed, endpoints)


def releases() -> Iterator[Metric]:
    names = ["release", "state"]
    encoded = GaugeMetricFamily("socialsongs_release_encoded", "Songs the release has dealt with", labels=names)
    songs = GaugeMetricFamily("socialsongs_release_songs", "Songs it has to deal with", labels=names)
    for found in monitoring.coverage():
        labels = [found.release.name, found.release.state]
        encoded.add_metric(labels, found.encoded)
        songs.add_metric(labels, found.songs)
    yield from (encoded, songs)


def workers() -> Iterator[Metric]:
    """Yield metrics of each worker; counts and seconds begin with its process."""
    info = InfoMetricFamily("socialsongs_worker", "What each worker is", labels=["worker"])
    up = GaugeMetricFamily("socialsongs_worker_up", "1: its heart beats and its batch does not hang", labels=["worker"])
    hears = GaugeMetricFamily(
        "socialsongs_worker_hears", "1: it listens where the site sends wake-ups", labels=["worker"]
    )
    busy = GaugeMetricFamily("socialsongs_worker_busy_seconds", "Time in its present batch", labels=["worker"])
    batches = CounterMetricFamily(
        "socialsongs_worker_batches", "Batches by number of rows", labels=["worker", "lane", "size"]
    )
    stages = CounterMetricFamily("socialsongs_worker_stage_seconds", "Time by stage", labels=["worker", "stage"])
    memory = GaugeMetricFamily("socialsongs_worker_memory_bytes", "Memory it holds", labels=["worker", "kind"])
    for worker, live in monitoring.workers():
        name = worker.name
        info.add_metric([name], {"state": worker.state, "device": worker.device, "release": worker.release})
        up.add_metric([name], live)
        hears.add_metric([name], not deafness(worker))
        busy.add_metric([name], worker.busy_seconds)
        for lane, sizes in worker.figures.get("batches", {}).items():
            for size, count in sizes.items():
                batches.add_metric([name, lane, size], count)
        for stage, seconds in worker.figures.get("seconds", {}).items():
            stages.add_metric([name, stage], seconds)
        for kind, held in worker.figures.get("memory", {}).items():
            memory.add_metric([name, kind], held)
    yield from (info, up, hears, busy, batches, stages, memory)


def ready() -> Metric:
    # Posts older than an hour no longer count, so the values can fall: a gauge histogram.
    family = GaugeHistogramMetricFamily(
        "socialsongs_ready_seconds", "From upload to ready, of the posts that became ready in the last hour"
    )
    found = monitoring.ready_times()
    buckets = [(str(bound), count) for bound, count in zip(monitoring.BOUNDS, found.within, strict=True)]
    family.add_metric([], [*buckets, ("+Inf", found.posts)], found.seconds)
    return family


class AnyFormat(DefaultContentNegotiation):
    """Accept any format: prometheus_client chooses that of the metrics; errors are JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class ViewMetrics(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return permitted(user=request.user, permission="view_metrics")


@extend_schema(exclude=True)
class Metrics(ApiView):
    """For people and accounts with the permission ``view_metrics``, logged in as the host's API settings say."""

    permission_classes = [ViewMetrics]
    content_negotiation_class = AnyFormat

    def get(self, request: Request) -> HttpResponse:
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except TypeError as error:  # a version in the header is no number
            raise NotAcceptable from error
        return HttpResponse(encode(Rows()), content_type=content_type)
