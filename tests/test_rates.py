"""Rates hold under concurrent requests, and refuse nobody when the cache fails."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache, caches
from redis import Redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from socialsongs import outages, rates
from socialsongs.rates import use_quota

LOCAL = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "rates"}}


@pytest.fixture
def at(monkeypatch):
    """Return a function that sets the clock."""
    now = [1_000_000_000.0]
    monkeypatch.setattr(rates.time, "time", lambda: now[0])

    def move(seconds):
        now[0] = 1_000_000_000.0 + seconds

    return move


@pytest.fixture(params=["redis", "locmem"])
def any_cache(request, settings):
    if request.param == "locmem":
        settings.CACHES = LOCAL
    cache.clear()


def allowed(name="READ-1", rate="60/hour"):
    return not use_quota(name=name, rate=rate).refused


@pytest.mark.usefixtures("any_cache")
def test_it_holds_under_requests_at_the_same_time():
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: allowed(), range(120))).count(True) == 60


@pytest.mark.usefixtures("any_cache")
def test_those_that_are_refused_do_not_count(at):
    assert [allowed(rate="3/minute") for _ in range(10)] == [True] * 3 + [False] * 7
    at(60)
    assert [allowed(rate="3/minute") for _ in range(4)] == [True] * 3 + [False]


def test_it_holds_in_any_stretch_of_time_and_not_by_the_clock(at):
    at(50)
    assert allowed(rate="2/minute")
    at(59)
    assert allowed(rate="2/minute")
    at(61)
    assert not allowed(rate="2/minute")
    at(107)
    assert not allowed(rate="2/minute")
    at(110)
    assert allowed(rate="2/minute")


@pytest.mark.parametrize("rate", ["1/s", "5/minute", "60/hour", "2/day"])
def test_a_request_after_the_given_wait_is_allowed(at, rate):
    while not (quota := use_quota(name="READ-1", rate=rate)).refused:
        pass
    wait = quota.renews
    assert 0 < wait <= rates.SECONDS[rate.partition("/")[2][0]]
    at(wait - 0.002)
    assert not allowed(rate=rate)
    at(wait + 0.001)
    assert allowed(rate=rate)


def test_people_and_scopes_do_not_meet():
    for name in ("READ-1", "READ-2", "UPLOAD-1"):
        assert allowed(name, "1/hour")
        assert not allowed(name, "1/hour")


@pytest.mark.parametrize("unit", ["s", "sec", "second", "m", "min", "minute", "h", "hour", "d", "day"])
def test_every_unit_of_the_settings(unit):
    assert allowed(rate=f"1/{unit}")


def test_counts_expire_with_their_stretch():
    assert allowed(rate="5/minute")
    redis = caches["default"]._cache.get_client()
    (key,) = redis.keys("*")
    assert key.startswith(b"socialsongs:")
    assert 0 < redis.ttl(key) <= 62


# The cache's values are no code


class Trap:
    def __reduce__(self):
        return (open, ("/tmp/socialsongs-trap", "w"))


@pytest.mark.parametrize("written", [pickle.dumps("innocent"), pickle.dumps(Trap()), b"\x80", b"[" * 100_000, b"NaN1"])
def test_what_others_write_into_redis_is_not_run(written, monkeypatch, caplog):
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("it was unpickled"))
    redis = caches["default"]._cache.get_client()
    redis.set(cache.make_key("mine"), written)
    assert cache.get("mine") is None
    assert "not JSON" in caplog.text
    assert allowed(rate="1/hour")
    (key,) = set(redis.keys("*")) - {cache.make_key("mine").encode()}
    redis.set(key, written)
    assert allowed(rate="1/hour")  # nobody is refused


@pytest.mark.parametrize("written", [b'"text"', b"[1]", b'{"a": 1}', b"1.5", b"1e400", b"NaN"])
def test_a_value_that_is_no_count_counts_as_zero(written, at):
    """In an earlier step, whose count is only read."""
    assert allowed(rate="1/minute")
    redis = caches["default"]._cache.get_client()
    (key,) = redis.keys("*")
    redis.set(key, written)
    at(10)
    assert allowed(rate="1/minute")
    assert not allowed(rate="1/minute")


@pytest.mark.parametrize("value", [0, -3, 2**70, 1.5, "text", "12", None, True, [1, {"a": None}], "\ud83d", "ü"])
def test_values_come_back_as_they_were(value):
    cache.set("mine", value)
    found = cache.get("mine")
    assert (found, type(found)) == (value, type(value))


def test_numbers_can_be_counted():
    cache.set("mine", 5)
    assert cache.incr("mine") == 6
    assert cache.decr("mine", 10) == -4


def test_an_object_is_refused():
    with pytest.raises(TypeError):
        cache.set("mine", object())


# The cache fails


def test_a_cache_that_is_away_refuses_nobody_and_is_logged_once(settings, caplog):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert [allowed(rate="1/hour") for _ in range(5)] == [True] * 5
    assert caplog.text.count("The cache does not work") == 1


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_cache_that_takes_nothing_refuses_nobody(fault):
    redis = caches["default"]._cache.get_client()
    try:
        redis.config_set("maxmemory", 1) if fault == "full" else redis.replicaof("127.0.0.1", 1)
        with pytest.raises(OutOfMemoryError if fault == "full" else ReadOnlyError):
            cache.set("mine", 1)
        assert [allowed(rate="1/hour") for _ in range(3)] == [True] * 3
    finally:
        redis.config_set("maxmemory", 0)
        redis.replicaof("NO", "ONE")
    assert [allowed(rate="1/hour") for _ in range(3)] == [True, False, False]  # at once


def test_a_cache_that_hangs_is_waited_for_once(settings, monkeypatch):
    monkeypatch.setattr(outages, "OPEN_SECONDS", 3600)
    asked, use = [], rates._use
    monkeypatch.setattr(rates, "_use", lambda *arguments: asked.append(arguments) or use(*arguments))
    redis = Redis.from_url(settings.REDIS_URL)
    redis.client_pause(3000)
    assert [allowed(rate="1/hour") for _ in range(20)] == [True] * 20
    assert len(asked) == 1
    redis.ping()  # is answered after the pause
    outages.CACHE.reset()
    assert [allowed(rate="1/hour") for _ in range(2)] == [True, False]
