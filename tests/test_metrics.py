"""GET /metrics/: figures from the rows, for Prometheus."""

import math
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from socialsongs.models import (
    Event,
    ModelRelease,
    Post,
    RecommendationRequest,
    SongEmbedding,
    State,
    WebhookDelivery,
    WebhookEndpoint,
)
from socialsongs.selectors.monitoring import coverage

from .test_api_posts import problem
from .test_health import worker

pytestmark = pytest.mark.django_db
URL = "/metrics/"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3"


@pytest.fixture
def scrape(api_of, staff):
    """Return all samples by name, each as (labels, value)."""

    def make(accept="", parse=text_string_to_metric_families):
        answer = api_of(staff).get(URL, headers={"Accept": accept} if accept else {})
        assert answer.status_code == 200
        found = {}
        for family in parse(answer.content.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    return make


def value(samples, **labels):
    """Return the value of the only sample with these labels, or None."""
    found = [number for given, number in samples if labels.items() <= given.items()]
    assert len(found) <= 1
    return found[0] if found else None


def post(owner, *, age=0, **values):
    """Make a post. ``age``: seconds since the upload."""
    made = Post.objects.create(owner=owner, **values)
    Post.objects.filter(pk=made.pk).update(created_at=Now() - timedelta(seconds=age))
    return made


def ready_post_of(owner, *, took, ago=0):
    made = post(owner, state=State.READY, age=took + ago)
    # Of the row's own upload time: two statements are not at the same time.
    made.refresh_from_db()
    Post.objects.filter(pk=made.pk).update(finished_at=made.created_at + timedelta(seconds=took))


# Who may see them


def test_it_asks_for_a_login(api_of):
    problem(api_of(None).get(URL), 401, "not_authenticated")


def test_metrics_are_for_staff_only(api_of, alice):
    problem(api_of(alice).get(URL), 403, "permission_denied")


def test_a_session_of_staff_gets_the_metrics(client, staff):
    client.force_login(staff)
    assert client.get(URL).status_code == 200


# Formats


def test_plain_text_is_the_default(api_of, staff):
    assert api_of(staff).get(URL).headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_openmetrics_for_who_asks_for_it(api_of, staff):
    answer = api_of(staff).get(URL, headers={"Accept": OPENMETRICS})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.content.endswith(b"# EOF\n")


def test_a_version_that_is_no_number_is_refused(api_of, staff):
    problem(api_of(staff).get(URL, headers={"Accept": "text/plain;version=new"}), 406, "not_acceptable")


# Work


def test_pending_posts_are_counted(scrape, alice):
    post(alice)
    post(alice, state=State.ANALYSING)
    post(alice, state=State.READY)
    assert value(scrape()["socialsongs_pending"], lane="interactive", kind="posts") == 2


def test_requests_are_counted_in_their_lane(scrape, alice):
    RecommendationRequest.objects.create(text="rain")
    for _ in range(2):
        RecommendationRequest.objects.create(text="rain", bulk=True)
    found = scrape()["socialsongs_pending"]
    assert value(found, lane="interactive", kind="requests") == 1
    assert value(found, lane="bulk", kind="requests") == 2


def test_a_request_for_a_post_that_failed_waits_for_nobody(scrape, alice):
    RecommendationRequest.objects.create(post=post(alice, state=State.FAILED), is_default=True)
    assert value(scrape()["socialsongs_pending"], lane="interactive", kind="requests") == 0


def test_songs_of_retired_releases_are_not_pending(scrape, release, make_song):
    make_song()
    assert value(scrape()["socialsongs_pending"], kind="songs") == 1
    ModelRelease.objects.update(state=ModelRelease.State.RETIRED)
    assert value(scrape()["socialsongs_pending"], kind="songs") == 0


def test_the_oldest_post_counts_from_its_upload(scrape, alice):
    post(alice, age=90)
    post(alice, age=20)
    assert value(scrape()["socialsongs_oldest_pending_seconds"], kind="posts") == pytest.approx(90, abs=10)


def test_songs_count_from_when_they_were_queued(scrape, release, make_song):
    make_song()
    SongEmbedding.objects.update(queued_at=Now() - timedelta(seconds=50))
    assert value(scrape()["socialsongs_oldest_pending_seconds"], kind="songs") == pytest.approx(50, abs=10)


def test_requests_that_are_answered_anew_count_from_when_they_were_queued(scrape):
    RecommendationRequest.objects.create(text="rain", bulk=True)
    RecommendationRequest.objects.update(created_at=Now() - timedelta(days=9), queued_at=Now() - timedelta(seconds=50))
    found = scrape()["socialsongs_oldest_pending_seconds"]
    assert value(found, lane="bulk", kind="requests") == pytest.approx(50, abs=10)


def test_a_song_that_waits_for_its_next_attempt_has_no_negative_age(scrape, release, make_song):
    make_song()
    SongEmbedding.objects.update(queued_at=Now() + timedelta(seconds=50))
    assert value(scrape()["socialsongs_oldest_pending_seconds"], kind="songs") == 0


def test_without_work_all_ages_are_0(scrape):
    found = scrape()["socialsongs_oldest_pending_seconds"]
    assert len(found) == 4
    assert {age for _, age in found} == {0}


def test_failures_are_counted_by_reason(scrape, alice):
    for reason in ("photo_missing", "photo_missing", "attempts_exhausted"):
        post(alice, state=State.FAILED, reason=reason)
    found = scrape()["socialsongs_failed"]
    assert value(found, kind="posts", reason="photo_missing") == 2
    assert value(found, kind="posts", reason="attempts_exhausted") == 1


# Releases


def test_coverage_of_a_release(scrape, release, make_song):
    make_song("A")
    make_song("B")
    make_song("C", status="retired")
    SongEmbedding.objects.filter(song__title__in=["A", "C"]).update(state=State.READY)
    found = scrape()
    assert value(found["socialsongs_release_encoded"], release="written-down", state="active") == 1
    assert value(found["socialsongs_release_songs"], release="written-down", state="active") == 2


def test_coverage_is_counted_by_an_index(release, make_song):
    make_song("A")
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        assert [(found.encoded, found.songs) for found in coverage()] == [(0, 1)]
        (counting,) = [query["sql"] for query in queries if "GROUP BY" in query["sql"]]
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + counting)
        assert "socialsongs_embedding_done" in "".join(line for (line,) in cursor.fetchall())


# Workers


def test_a_worker_is_up_or_not(scrape):
    worker("inference@one")
    worker("inference@two", silent=1000)
    found = scrape()["socialsongs_worker_up"]
    assert (value(found, worker="inference@one"), value(found, worker="inference@two")) == (1, 0)


def test_a_worker_hears_wake_ups_or_not(scrape):
    worker("inference@one")
    worker("inference@two", broker="another")
    found = scrape()["socialsongs_worker_hears"]
    assert (value(found, worker="inference@one"), value(found, worker="inference@two")) == (1, 0)


def test_a_workers_info_gives_its_device_and_release(scrape):
    worker(device="cuda:0 Some GPU")
    labels = {"worker": "inference@one", "state": "ready", "device": "cuda:0 Some GPU", "release": "written-down"}
    assert scrape()["socialsongs_worker_info"] == [(labels, 1)]


def test_a_workers_counters_are_exported(scrape):
    worker(
        busy_seconds=1.5,
        figures={
            "batches": {"interactive": {"16": 3}, "bulk": {}},
            "seconds": {"decode": 1.2},
            "memory": {"resident": 1000, "device": 500},
        },
    )
    found = scrape()
    batches = ({"worker": "inference@one", "lane": "interactive", "size": "16"}, 3)
    assert found["socialsongs_worker_batches_total"] == [batches]
    assert value(found["socialsongs_worker_stage_seconds_total"], stage="decode") == 1.2
    assert value(found["socialsongs_worker_memory_bytes"], kind="resident") == 1000
    assert value(found["socialsongs_worker_memory_bytes"], kind="device") == 500
    assert value(found["socialsongs_worker_busy_seconds"], worker="inference@one") == 1.5


def test_a_worker_without_figures_is_listed(scrape):
    worker(figures={})
    assert value(scrape()["socialsongs_worker_up"], worker="inference@one") == 1


# From upload to ready


@pytest.mark.parametrize(
    ("accept", "parse"), [("", text_string_to_metric_families), (OPENMETRICS, parse_openmetrics)], ids=["plain", "open"]
)
def test_buckets_are_cumulative(scrape, alice, accept, parse):
    for took in (0.1, 0.25, 3, 1000):
        ready_post_of(alice, took=took)
    found = scrape(accept, parse)
    buckets = {float(labels["le"]): count for labels, count in found["socialsongs_ready_seconds_bucket"]}
    assert list(buckets) == [0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, math.inf]
    assert list(buckets.values()) == [2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert found["socialsongs_ready_seconds_gcount"] == [({}, 4)]
    assert found["socialsongs_ready_seconds_gsum"] == [({}, pytest.approx(1003.35))]


def test_posts_that_were_ready_earlier_are_left_out(scrape, alice):
    ready_post_of(alice, took=1, ago=3700)
    assert scrape()["socialsongs_ready_seconds_gcount"] == [({}, 0)]


def test_posts_that_failed_are_left_out(scrape, alice):
    Post.objects.filter(pk=post(alice, state=State.FAILED).pk).update(finished_at=Now())
    assert scrape()["socialsongs_ready_seconds_gcount"] == [({}, 0)]


# Events


def test_what_has_not_been_delivered_is_counted(scrape, release):
    event = Event.objects.create(kind="song_chosen", fanned_out=True)
    Event.objects.filter(pk=event.pk).update(created_at=Now() - timedelta(seconds=90))
    Event.objects.create(kind="song_chosen", state="failed")
    endpoint = WebhookEndpoint.objects.create(url="https://example.org/", salt="x", verified_at=Now())
    WebhookEndpoint.objects.create(url="https://example.net/", salt="x", active=False)
    WebhookDelivery.objects.create(event=event, endpoint=endpoint)
    found = scrape()
    assert value(found["socialsongs_undelivered"], kind="signals") == 1
    assert value(found["socialsongs_undelivered"], kind="webhooks") == 1
    assert value(found["socialsongs_oldest_undelivered_seconds"], kind="signals") == pytest.approx(90, abs=10)
    assert value(found["socialsongs_delivery_failed"], kind="signals") == 1
    states = {labels["state"]: count for labels, count in found["socialsongs_webhook_endpoints"]}
    assert states == {"verified": 1, "unverified": 0, "failing": 0, "disabled": 1}
