"""Where webhooks may go, and what an endpoint can do to the sender: nothing, in no more than the time it has."""

import socket
import ssl
import time
from ipaddress import ip_address

import pytest

from socialsongs.errors import BadWebhookUrl
from socialsongs.webhooks import sending
from socialsongs.webhooks.addresses import AddressRefused, connect, is_allowed
from socialsongs.webhooks.sending import SendingFailed, send, target_of

from .endpoints import HERE, answer, receiving, status


@pytest.fixture
def here(settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, **HERE, "WEBHOOK_SECONDS": 1.0}


@pytest.fixture
def receiver(here):
    with receiving() as found:
        yield found


def resolves(monkeypatch, *addresses):
    """Let every name lead to these addresses, one list for each look-up; return the names that were looked up."""
    names, answers = [], iter(addresses)

    def getaddrinfo(host, port, *_, **__):
        names.append(host)
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in next(answers)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1",
        "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "fe80::1", "fec0::1", "fc00::1",
        "fd00:ec2::254", "ff02::1", "ff0e::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1",
        "100::1", "5f00::1",
    ],
)  # fmt: skip
def test_addresses_that_lead_inside_are_refused(address):
    assert not is_allowed(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address):
    assert is_allowed(ip_address(address))


def test_a_site_can_allow_networks_of_its_own(settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "WEBHOOK_ALLOWED_NETWORKS": "10.1.0.0/16, fd00:1::/64"}
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00:1::9"):
        assert is_allowed(ip_address(address))
    for address in ("10.2.0.1", "fd00:2::9", "127.0.0.1"):
        assert not is_allowed(ip_address(address))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.org/", "https"),
        ("ftp://example.org/", "https"),
        ("//example.org/", "https"),
        ("https:///path", "no host"),
        ("https://user:secret@example.org/", "password"),
        ("https://example.org/#part", "#"),
        ("https://example.org:22/", "port 22"),
        ("https://example.org:99999/", "no address"),
        ("https://[::1/", "no address"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://[::ffff:10.0.0.1]/", "may not be sent"),
        ("https://169.254.169.254/latest/meta-data/", "may not be sent"),
        ("https://exa mple.org/", "printable"),
        ("https://example.org/\r\nX-Header: 1", "printable"),
        ("https://ex\u00e4mple.org/", "ASCII"),
        ("https://example.org/" + "a" * 500, "500"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_reason(url, said):
    with pytest.raises(BadWebhookUrl, match=said):
        target_of(url)


def test_what_is_sent_to_is_what_was_given():
    target = target_of("https://hooks.example.org:8443/a?b=c")
    assert (target.scheme, target.host, target.port, target.path) == ("https", "hooks.example.org", 8443, "/a?b=c")
    assert target_of("https://example.org").path == "/"


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_this_machine_is_connected_to(host, settings):
    """With a server that listens here, which must hear nothing."""
    with receiving() as found:
        port = found.url.split(":")[2].split("/")[0]
        settings.SOCIALSONGS = {**settings.SOCIALSONGS, "WEBHOOK_ALLOW_HTTP": True}
        with pytest.raises(SendingFailed):
            send(f"http://{host}:{port}/", b"{}", {})
    assert found.got == []


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(here, monkeypatch, settings):
    """A name server that first gives a public address, and then this machine's, changes nothing."""
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "WEBHOOK_ALLOWED_NETWORKS": ""}
    names = resolves(monkeypatch, ["10.0.0.1", "127.0.0.1", "::1"], ["8.8.8.8"])
    with pytest.raises(AddressRefused, match="leads nowhere that webhooks may be sent to"):
        connect("rebinding.example.org", 443, deadline=time.monotonic() + 1, connect_seconds=1)
    connected = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    connect("rebinding.example.org", 443, deadline=time.monotonic() + 1, connect_seconds=1).close()
    assert connected == [("8.8.8.8", 443)]
    assert names == ["rebinding.example.org"] * 2


def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(receiver, monkeypatch):
    port = int(receiver.url.split(":")[2].split("/")[0])
    resolves(monkeypatch, ["127.0.0.2", "127.0.0.1"])  # nothing listens at the first
    connect("two.example.org", port, deadline=time.monotonic() + 1, connect_seconds=0.3).close()


def test_redirects_and_proxies_are_not_followed(receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9/")
    for code in (301, 302, 303, 307, 308):
        receiver.behave = status(code, Location=receiver.url)
        assert send(receiver.url, b"{}", {}).status == code
    assert len(receiver.got) == 5


def trickle(part, pause=0.05):
    """Send a part again and again, for as long as somebody listens."""

    def behave(handler):
        while True:
            handler.wfile.write(part)
            time.sleep(pause)

    return behave


def after_headers(behave):
    def both(handler):
        handler.send_response(200)
        handler.end_headers()
        behave(handler)

    return both


@pytest.mark.parametrize(
    "behave",
    [
        lambda receiver: receiver.hang,
        lambda receiver: trickle(b"H"),
        lambda receiver: trickle(b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda receiver: after_headers(trickle(b"x")),
    ],
    ids=["hangs", "drips its status", "continues for ever", "drips its body"],
)
def test_an_endpoint_that_takes_for_ever_has_its_time_and_no_more(receiver, behave):
    receiver.behave = behave(receiver)
    began = time.monotonic()
    with pytest.raises(SendingFailed, match="within 1 s"):
        send(receiver.url, b"{}", {}, read=True)
    assert time.monotonic() - began < 2


def test_an_endless_answer_is_not_read_to_its_end(receiver):
    sent = []

    def ten_gigabytes(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**10))
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(bytes(10**6))
            sent.append(1)

    receiver.behave = ten_gigabytes
    assert send(receiver.url, b"{}", {}).body == b""
    assert len(send(receiver.url, b"{}", {}, read=True).body) == sending.MOST_OF_ANSWER
    assert len(sent) < 100


@pytest.mark.parametrize("text", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n"])
def test_an_answer_that_is_not_http_is_a_failure(receiver, text):
    receiver.behave = lambda handler: (handler.wfile.write(text), handler.connection.close())
    with pytest.raises(SendingFailed):
        send(receiver.url, b"{}", {})


def test_a_certificate_that_nobody_vouches_for_is_refused(receiver):
    with pytest.raises(SendingFailed, match=r"SSL"):
        send(receiver.url.replace("http:", "https:"), b"{}", {})
    assert sending._tls().verify_mode == ssl.CERT_REQUIRED
    assert sending._tls().check_hostname


def test_nothing_is_left_open(receiver):
    receiver.behave = lambda handler: answer(handler, b"{}")
    opened = []
    original = socket.socket.dup

    def dup(self):
        opened.append(original(self))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "dup", dup)
        assert send(receiver.url, b"{}", {}, read=True).body == b"{}"
    assert [handle.fileno() for handle in opened] == [-1]
