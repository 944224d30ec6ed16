"""docker/nginx.conf.template: as text, and where nginx is installed, as a proxy of the real web server."""

import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from socialsongs.bodies import TEXT_BYTES
from socialsongs.conf import PluginSettings
from socialsongs.site.demo import answers
from socialsongs.site.embedded import die_with_parent
from socialsongs.site.processes import WEB

from .accounts import token_of
from .processes import ROOT, free_port, process, wait_until
from .skips import without
from .test_compose import SERVICES, resolved

TEMPLATE = (ROOT / "docker" / "nginx.conf.template").read_text()
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason=without("nginx", "nginx-light"))


def variables(**given):
    return {name: resolved(value, given) for name, value in SERVICES["proxy"]["environment"].items()}


def filled(values):
    """Return the template with its variables replaced as envsubst does."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], TEMPLATE)


def test_the_variables_of_the_template_are_the_ones_that_compose_fills_in():
    named = set(re.findall(r"\$\{(\w+)\}", TEMPLATE))
    shell = SERVICES["proxy"]["command"][2]
    assert named == set(variables()) == set(re.findall(r"\$\$([A-Z_]+)", shell))
    assert f"{'/etc/nginx/nginx.conf.template'} > /tmp/nginx.conf" in shell
    assert "./docker/nginx.conf.template:/etc/nginx/nginx.conf.template:ro" in SERVICES["proxy"]["volumes"]


def test_slow_clients_time_out():
    for directive in (
        "client_header_timeout 15s",
        "client_body_timeout 15s",
        "send_timeout 30s",
        "limit_conn address 100",
    ):
        assert f"{directive};" in TEMPLATE
    assert "proxy_request_buffering on;" in TEMPLATE


def test_a_whole_upload_passes_and_other_bodies_are_small():
    upload = int(re.fullmatch(r"(\d+)m", variables()["UPLOAD_LIMIT"])[1]) * 1024**2
    assert upload == PluginSettings.MAX_UPLOAD_BYTES * PluginSettings.MAX_PHOTOS_PER_POST + TEXT_BYTES
    large = re.findall(r"location (?:= )?(\S+) \{\s+client_max_body_size \$\{UPLOAD_LIMIT\}", TEMPLATE)
    assert large == ["/", "/api/v1/posts", "/admin/"]


@pytest.fixture(scope="module")
def proxied(django_db_setup, tmp_path_factory):
    """Start the proxy and a web server; yield the proxy's port and the web server's log."""
    folder = tmp_path_factory.mktemp("proxy")
    web, port, log = free_port(), free_port(), folder / "web.log"
    static = folder / "static"
    static.mkdir(mode=0o755)
    for parent in (folder, *folder.parents):  # nginx's own processes are nobody's
        if parent.owner() == "root" and parent != parent.parent and str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    (static / "app.0123456789ab.css").write_text("body {}")
    with gzip.open(static / "app.0123456789ab.css.gz", "wt") as packed:
        packed.write("body {}")
    (static / "plain.css").write_text("body {}")
    text = filled(variables(REAL_IP_FROM="127.0.0.9"))
    for theirs, ours in {
        "web:8000": f"127.0.0.1:{web}",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "/tmp/nginx.pid": str(folder / "nginx.pid"),
        "/dev/stdout": str(folder / "access.log"),
        "alias /static/": f"alias {static}/",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    conf = folder / "nginx.conf"
    conf.write_text(text)
    errors = folder / "error.log"
    with process([*WEB, f"127.0.0.1:{web}"], log, FORWARDED_ALLOW_IPS="127.0.0.1"), errors.open("wb") as output:
        nginx = subprocess.Popen(
            [NGINX, "-e", "stderr", "-c", str(conf), "-g", "daemon off;"],
            stdout=output, stderr=output, preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{web}"), log)
            wait_until(lambda: answers(f"http://127.0.0.1:{port}"), errors)
            yield port, log
        finally:
            nginx.terminate()
            nginx.wait(20)
    assert "[emerg]" not in errors.read_text()


def ask(port, method, path, body=None, client="127.0.0.1", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(client, 0))
    try:
        named = {name.replace("_", "-"): value for name, value in {"Host": "localhost", **headers}.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def opened(port, text, client="127.0.0.1"):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(client, 0))
    connection.sendall(text.encode())
    return connection


@needs_nginx
@pytest.mark.django_db(transaction=True)
def test_slow_connections_stay_with_the_proxy(proxied, alice, photo_bytes):
    port, log = proxied
    login = "POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    slow = [opened(port, "GET /health/ HTTP/1.1\r\nHost: local") for _ in range(150)]
    slow += [opened(port, login) for _ in range(150)]
    for connection in slow:
        connection.sendall(b"x")
    assert ask(port, "GET", "/health/", client="127.0.0.2")[0].status == 200
    head = b'--edge\r\nContent-Disposition: form-data; name="photos"; filename="a.jpg"\r\n\r\n'
    response, text = ask(
        port, "POST", "/api/v1/posts", iter([head, photo_bytes(), b"\r\n--edge--\r\n"]), client="127.0.0.2",
        Authorization=f"Token {token_of(alice)}",
        Content_Type="multipart/form-data; boundary=edge",
    )  # fmt: skip
    assert response.status == 202, text
    # One address has a limited number of connections.
    assert ask(port, "GET", "/health/")[0].status == 429
    for connection in slow:
        connection.close()
    assert "/accounts/login/" not in log.read_text()


@needs_nginx
def test_sizes_and_names_pass_as_they_should(proxied):
    port, log = proxied
    for path, size in (("/accounts/login/", 2 * 1024**2 + 1), ("/api/v1/posts", 152 * 1024**2 + 1)):
        large = opened(port, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n", "127.0.0.3")
        response = http.client.HTTPResponse(large)
        response.begin()
        assert (response.status, json.loads(response.read())["code"]) == (413, "body_too_large")
        large.close()
    # A client names itself, and a proxy that is known names its client.
    for client, named in (("127.0.0.5", "127.0.0.5"), ("127.0.0.9", "198.51.100.7")):
        ask(port, "GET", f"/accounts/login/?of={client}", client=client, X_Forwarded_For="198.51.100.7")
        wait_until(lambda client=client: f"?of={client}" in log.read_text(), log)
        line = next(line for line in log.read_text().splitlines() if f"?of={client}" in line)
        assert line.split()[0] == named


@needs_nginx
def test_text_is_compressed_and_the_proxy_serves_static_files(proxied):
    port, _ = proxied
    response, text = ask(port, "GET", "/accounts/login/", client="127.0.0.4", Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert b"<form" in gzip.decompress(text)
    kept = {"app.0123456789ab.css": "public, max-age=315360000, immutable", "plain.css": "public, max-age=60"}
    for name, age in kept.items():
        response, text = ask(port, "GET", f"/static/{name}", client="127.0.0.4")
        assert (response.status, text) == (200, b"body {}")
        assert response.headers["Cache-Control"] == age
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Type"] == "text/css"
    response, text = ask(port, "GET", "/static/app.0123456789ab.css", client="127.0.0.4", Accept_Encoding="gzip")
    assert (response.headers["Content-Encoding"], gzip.decompress(text)) == ("gzip", b"body {}")
