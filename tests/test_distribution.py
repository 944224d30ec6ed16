"""What is handed out: wheel, source distribution, bill of materials of the image; and the audit of the latter."""

import json
import re
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from email.parser import Parser
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from .blank_project import MAKE_TOKEN, call, form_with_a_photo, host_project, listens, manage, running
from .processes import ROOT, free_port
from .tools import NEEDS_TOOLS, TOOLS, make

PACKAGES = ("socialsongs", "recommender", "workers")
LOCK = """django==5.2.19 \\
    --hash=sha256:5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00
"""

pytestmark = NEEDS_TOOLS


def wanted():
    """Return the files of the three packages without the stand-alone site."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file()]
    return {
        name for name in (file.relative_to(ROOT).as_posix() for file in files)
        if not re.search(r"__pycache__|^socialsongs/site/|/requirements\.txt$", name)
    }  # fmt: skip


def test_the_wheel_has_the_packages_without_the_stand_alone_site(wheel):
    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == wanted()
    assert {f"{package}/py.typed" for package in PACKAGES} <= inside
    assert wheel.stat().st_size < 20_000_000  # the release that ships has 18.6 MB


def test_the_source_distribution_has_the_same_and_what_builds_it(dist):
    (found,) = dist[0].glob("*.tar.gz")
    with tarfile.open(found) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames() if not archive.getmember(name).isdir()}
    beside = {"LICENSE", "NOTICE", "README.md", "MANIFEST.in", "pyproject.toml", "setup.cfg", "PKG-INFO"}
    assert {name for name in inside if not name.startswith("socialsongs.egg-info/")} == wanted() | beside


def test_the_distributions_pass_twine_and_their_sizes_are_printed(dist):
    folder, said = dist
    assert len(re.findall(r"dist/socialsongs-\S+: .*PASSED", said)) == 2
    for file in folder.iterdir():
        assert f"{file.stat().st_size} {file.name}" in said


def metadata(wheel):
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_metadata_leave_the_versions_to_the_host(wheel):
    found = metadata(wheel)
    assert set(found.get_all("Provides-Extra")) == {
        "worker", "health", "evaluation", "training", "site", "embedded", "second-factor",
    }  # fmt: skip
    needed = [line for line in found.get_all("Requires-Dist") if "extra ==" not in line]
    assert needed
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+(\[redis\])?>=[\d.]+", line) for line in needed)
    assert not [line for line in needed if line.startswith("torch")]


def test_the_bill_of_materials_names_each_line_of_the_lock():
    done = make("sbom", SBOM="/dev/stdout")
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "socialsongs"
    named = [(one["name"], one["version"]) for one in bill["components"]]
    assert sorted(named) == sorted(
        re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), re.M)
    )
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])


def lowest(wheel, *extras):
    """Return the lowest version of each requirement that the wheel allows, as pins."""
    needed = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist")]
    wanted = [one for one in needed if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)]
    return [str(one).partition(";")[0].replace(">=", "==") for one in wanted]


def uv(*arguments):
    done = subprocess.run([TOOLS / "bin" / "uv", *arguments], capture_output=True, text=True, check=False)
    if "error sending request" in done.stderr or "Could not connect" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr


PREPARE = f"""
from django.core.management import call_command
call_command("makemigrations", "members", verbosity=0)
call_command("migrate", verbosity=0)
call_command("check", databases=["default"], fail_level="WARNING")
call_command("socialsongs_import_songs", sample=True)
call_command("socialsongs_releases", "list")
{MAKE_TOKEN}
"""


@pytest.mark.worker
def test_the_web_side_takes_photos_with_the_lowest_versions_and_without_torch(wheel, tmp_path):
    """In a new environment, by the wheel: no code of this checkout, no PyTorch, nothing of the stand-alone site."""
    python = tmp_path / "environment" / "bin" / "python"
    uv("venv", "--quiet", "--python", sys.executable, tmp_path / "environment")
    of_the_host = ["psycopg[binary]", "django-environ"]
    uv("pip", "install", "--quiet", "--python", python, wheel, *lowest(wheel), *of_the_host)
    (tmp_path / "project").mkdir()
    with host_project(tmp_path / "project") as (folder, environment):
        environment["PYTHONPATH"] = str(folder)
        run = partial(manage, python, folder, environment)
        token = run("shell", "--no-imports", "-c", PREPARE).strip().splitlines()[-1]
        assert run("socialsongs_releases", "register") == "starter: active\n"
        for command in (["socialsongs_worker"], ["socialsongs_suggest", "photo.jpg"]):
            with pytest.raises(AssertionError, match=r"torch.*pip install 'socialsongs\[worker\]'"):
                run(*command)

        port = free_port()
        site, log = f"http://127.0.0.1:{port}", folder / "web.log"
        command = [python, "-m", "django", "runserver", "--noreload", f"127.0.0.1:{port}"]
        reconciler = [python, "-m", "django", "socialsongs_worker", "maintenance"]
        with (
            running(command, folder, environment, log),
            running(reconciler, folder, environment, folder / "reconciler.log"),
        ):
            deadline = time.monotonic() + 60
            while not listens(port):
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            body, content_type = form_with_a_photo()
            status, post, headers = call("POST", f"{site}/music/api/v1/posts", token, body, content_type)
            assert (status, post["state"]) == (202, "queued")
            assert call("GET", headers["Location"], token)[1]["id"] == post["id"]
            assert urllib.request.urlopen(f"{site}/admin/", timeout=20).status == 200
            done = re.compile(r"Task socialsongs\.reconcile\[\S+ succeeded")
            while not done.search(text := (folder / "reconciler.log").read_text()):
                assert time.monotonic() < deadline, text
                time.sleep(0.2)


class Advisories(BaseHTTPRequestHandler):
    """Answers as osv.dev does, and knows one vulnerability."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        events = [{"introduced": "0"}, {"fixed": "99.0"}]
        ranges = [{"type": "ECOSYSTEM", "events": events}]
        known = {"id": "X-1", "aliases": [], "affected": [{"package": asked["package"], "ranges": ranges}]}
        answer = json.dumps({"vulns": [known]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_the_audit_names_what_is_vulnerable_and_says_when_nothing_was_audited(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text(LOCK)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    found = make("audit", LOCK=lock, OSV=address)
    server.shutdown()
    server.server_close()
    away = make("audit", LOCK=lock, OSV=address)
    assert found.returncode != 0
    assert re.search(r"django +5\.2\.19 +X-1 +99\.0", found.stdout)
    assert away.returncode != 0
    assert f"NOTHING WAS AUDITED: {address} does not answer." in away.stderr
    assert "known vulnerabilities" not in away.stdout
