"""A worker whose clock is wrong: leases go by the database's clock alone."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from socialsongs.models import Post, State
from tests.skips import without

from .crew import COLOURS, QUICK, Stopwatch

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
LEASE = timedelta(seconds=int(QUICK["SOCIALSONGS_LEASE_SECONDS"]))
pytestmark = [
    pytest.mark.worker,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(LIBRARY is None, reason=without("libfaketime", "faketime")),
]


def test_leases_are_kept_though_a_workers_clock_jumps_an_hour(crew, tmp_path, record):
    """The worker neither takes rows that another holds, nor holds rows for longer than a lease."""
    jumps = tmp_path / "jumps"
    jumps.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(jumps),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    with crew.beat(), crew.worker("steady"), crew.worker_with("jumping", **faked):
        crew.wait_ready("steady", "jumping")
        crew.switch_on("wait-after_decode", text="0.3")
        watch, ended = Stopwatch(), 0
        for clock in ("+1h", "+0", "-1h", "+0"):
            jumps.write_text(clock)
            crew.post(*COLOURS)
            while Post.objects.filter(state__in=[State.QUEUED, State.ANALYSING]).exists():
                latest = Now() + 2 * LEASE  # a lease by the wrong clock would end an hour later or earlier
                assert not Post.objects.filter(lease_expires_at__gt=latest).exists()
                ended += Post.objects.filter(lease_expires_at__lt=Now()).count()
            result = crew.settled()
        workers = len({pid for pid, photos in crew.looks() if photos > 1})
    assert workers == 2
    assert ended == 0
    assert {(post.state, post.attempts) for post in crew.posts} == {(State.READY, 1)}  # no row was claimed twice
    record("a worker's clock jumps by an hour", "libfaketime, ahead and back, beside a worker with the right time",
           result, watch.seconds)  # fmt: skip
