"""With SECOND_FACTOR a password alone opens no page of the admin; without it nothing changes."""

import io
import re
from base64 import b32decode
from time import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
PAGES = ["/admin/", "/admin/socialsongs/post/", "/admin/auth/user/", "/admin/autocomplete/", "/admin/nowhere/"]


@pytest.fixture(autouse=True)
def on(settings):
    settings.SECOND_FACTOR = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def root(staff):
    staff.set_password(PASSWORD)
    staff.save()
    return staff


def enrol(name="staff"):
    """Return a function that gives the present code, and the recovery codes, both as the command prints them."""
    out = io.StringIO()
    call_command("second_factor", "add", name, stdout=out, stderr=io.StringIO())
    (url,) = re.findall(r"otpauth://\S+", out.getvalue())
    secret = parse_qs(urlsplit(url).query)["secret"][0]
    codes = out.getvalue().partition("apart from the authenticator:")[2].split()

    def code():
        generator = TOTP(b32decode(secret))
        generator.time = time()
        return f"{generator.token():06d}"

    return code, codes


def log_in(client, door="/admin/login/", **more):
    return client.post(door, {"username": "staff", "password": PASSWORD, **more})


def opened(client):
    return [client.get(page).status_code for page in PAGES]


def test_a_password_alone_opens_nothing(root):
    code, _ = enrol()
    by_site, by_admin = Client(), Client()
    assert log_in(by_site, "/accounts/login/").status_code == 302
    assert by_site.get("/").status_code == 200  # the posters' page asks for no code
    for wrong in ({}, {"otp_token": ""}, {"otp_token": "000000" if code() != "000000" else "1"}):
        assert log_in(by_admin, **wrong).status_code == 200
    forced = Client()
    forced.force_login(root)
    for client in (by_site, by_admin, forced):
        for page in PAGES:
            answer = client.get(page)
            assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/admin/login/")


def test_who_has_no_authenticator_does_not_get_in(root):
    client = Client()
    assert "no authenticator" in log_in(client, otp_token="123456").content.decode()
    assert opened(client) == [302] * 5


def test_password_and_code_open_it(root):
    code, _ = enrol()
    client = Client()
    assert log_in(client, otp_token=code(), next="/admin/auth/user/").headers["Location"] == "/admin/auth/user/"
    assert opened(client) == [200, 200, 200, 403, 404]
    client.post("/admin/logout/")
    assert opened(client) == [302] * 5


def test_a_recovery_code_opens_it_once(root):
    _, codes = enrol()
    assert len(set(codes)) == 10
    first, again = Client(), Client()
    log_in(first, otp_token=codes[0])
    assert opened(first)[0] == 200
    assert log_in(again, otp_token=codes[0]).status_code == 200
    assert opened(again)[0] == 302


def test_guesses_are_slowed_down(root):
    code, _ = enrol()
    for _ in range(3):
        log_in(Client(), otp_token="999999")
    late = Client()
    assert log_in(late, otp_token=code()).status_code == 200
    assert opened(late)[0] == 302


def test_a_new_authenticator_ends_the_earlier_one_and_its_sessions(root):
    code, codes = enrol()
    client = Client()
    log_in(client, otp_token=code())
    assert opened(client)[0] == 200
    enrol()
    assert opened(client)[0] == 302
    assert TOTPDevice.objects.count() == 1
    assert log_in(Client(), otp_token=codes[1]).status_code == 200


def test_one_account_s_code_does_not_open_another(root, django_user_model):
    enrol()
    django_user_model.objects.create_superuser("other")
    code, codes = enrol("other")
    for each in (code(), codes[0]):
        client = Client()
        log_in(client, otp_token=each)
        assert opened(client)[0] == 302


def test_the_command_lists_and_removes(root, capsys):
    enrol()
    call_command("second_factor", "list")
    call_command("second_factor", "remove", "staff")
    call_command("second_factor", "list")
    call_command("second_factor", "remove", "staff")
    assert capsys.readouterr().out == "staff\nRemoved.\nstaff has no authenticator.\n"
    with pytest.raises(CommandError, match="no account 'nobody'"):
        call_command("second_factor", "add", "nobody")


def test_without_the_setting_the_password_suffices(root, settings):
    settings.SECOND_FACTOR = False
    enrol()
    client = Client()
    assert "otp_token" not in client.get("/admin/login/").content.decode()
    log_in(client)
    assert opened(client)[0] == 200


def test_the_login_shows_one_field_more_and_the_admin_no_secret(root):
    code, _ = enrol()
    client = Client()
    assert 'name="otp_token"' in client.get("/admin/login/").content.decode()
    log_in(client, otp_token=code())
    assert client.get("/admin/otp_totp/totpdevice/").status_code == 404
