"""Failed logins are limited at every login form, and logged."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import F
from django.test import Client

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
DOORS = ["/accounts/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def three_failures(settings):
    settings.AXES_FAILURE_LIMIT = 3
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def people(alice, bob):
    for person in (alice, bob):
        person.is_staff = True
        person.set_password(PASSWORD)
        person.save()


def log_in(door, name="alice", password="wrong", address="192.0.2.1", **headers):
    """Log in with a new browser."""
    return Client().post(door, {"username": name, "password": password}, REMOTE_ADDR=address, headers=headers)


@pytest.mark.parametrize("door", DOORS)
def test_a_name_waits_wherever_it_is_tried_from(people, door):
    for number in range(2):
        assert log_in(door, address=f"192.0.2.{number}").status_code == 200
    refused = log_in(door, address="192.0.2.9")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "no-store" in refused.headers["Cache-Control"]
    assert "Wait 15 minutes" in refused.content.decode()
    for other in DOORS:
        assert log_in(other, password=PASSWORD, address="192.0.2.10").status_code == 429
    assert log_in(door, "bob", PASSWORD, address="192.0.2.10").status_code == 302


@pytest.mark.parametrize("door", DOORS)
def test_an_address_waits_whatever_names_it_tries(people, door):
    for number in range(3):
        answer = log_in(door, f"name{number}")
    assert answer.status_code == 429
    assert log_in(door, password=PASSWORD).status_code == 429
    assert log_in(door, password=PASSWORD, address="192.0.2.2").status_code == 302


def test_names_that_do_not_exist_are_answered_alike(people):
    answers = {}
    for name, address in (("alice", "192.0.2.1"), ("nobody", "192.0.2.2")):
        pages = [log_in(DOORS[0], name, address=address) for _ in range(4)]
        answers[name] = [(page.status_code, page.content.decode().count("wrong. Try again")) for page in pages]
    assert answers["alice"] == answers["nobody"] == [(200, 1), (200, 1), (429, 0), (429, 0)]


def test_the_wait_ends_and_is_not_made_longer_by_trying(people):
    for _ in range(3):
        log_in(DOORS[0])
    before = AccessAttempt.objects.get().attempt_time
    log_in(DOORS[0])
    assert AccessAttempt.objects.get().attempt_time == before
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=16))
    assert log_in(DOORS[0], password=PASSWORD).status_code == 302


def test_who_is_logged_in_stays_so(people, alice):
    mine = Client()
    mine.force_login(alice)
    for _ in range(3):
        log_in(DOORS[0])
    assert mine.get("/").status_code == 200


def test_logins_are_limited_without_redis_too(people, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    assert log_in(DOORS[0], password=PASSWORD).status_code == 302
    assert [log_in(DOORS[0]).status_code for _ in range(4)] == [200, 200, 429, 429]


# The address that counts


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("198.51.100.{n}", {}, 200),
        ("2001:db8:0:1::{n}", {}, 429),  # a network of one client
        ("2001:db8:0:{n}::1", {}, 200),
        ("::ffff:198.51.100.{n}", {}, 200),
        ("192.0.2.1", {"X-Forwarded-For": "198.51.100.{n}"}, 429),  # the server knows our proxies, clients say anything
    ],
)
def test_what_counts_as_one_address(people, address, headers, status):
    answers = [
        log_in(
            DOORS[0],
            f"name{number}",
            address=address.format(n=number),
            **{name: value.format(n=number) for name, value in headers.items()},
        )
        for number in range(1, 4)
    ]
    assert answers[-1].status_code == status


# The log


def test_failures_are_in_the_log_with_name_and_address_and_without_the_password(people, caplog):
    for name in ("alice", "bob\nERROR forged"):
        log_in(DOORS[0], name, "my secret words", address="192.0.2.77")
    for _ in range(3):
        log_in(DOORS[1], "alice", "my secret words", address="192.0.2.77")
    assert "'alice' from 192.0.2.77" in caplog.text
    assert "Login refused after too many failures: 'alice' from 192.0.2.77" in caplog.text
    assert "secret" not in caplog.text
    assert "\nERROR forged" not in caplog.text
    attempts = AccessAttempt.objects.all()
    assert attempts
    for attempt in attempts:
        assert "secret" not in attempt.post_data + attempt.get_data


# Passwords


@pytest.mark.parametrize("password", ["73918264550192", "k8!dQz", "password123"])
def test_weak_passwords_are_refused(alice, password):
    with pytest.raises(ValidationError):
        validate_password(password, alice)


def test_good_passwords_are_accepted(alice):
    validate_password("seven grey herons", alice)
