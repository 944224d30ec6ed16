"""A run says in its last lines which tests it skipped, and which package would bring what they need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = """
import pytest
from tests import skips

needs_nothing = pytest.mark.skipif(False, reason=skips.without("Python", "python3"))
needs_chromium = pytest.mark.skipif(True, reason=skips.without("Chromium", "chromium"))


@needs_nothing
def test_that_runs():
    pass


@needs_chromium
@pytest.mark.parametrize("page", range(3))
def test_of_the_browser(page):
    pass


def test_with_a_photo(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    skips.import_or_skip("skimage")
"""


def last_lines(*arguments, cwd=ROOT, **environment):
    """Run pytest; return the lines that it prints after the title "skipped tests"."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    _, title, lines = done.stdout.partition("skipped tests")
    assert title, done.stdout + done.stderr
    return lines.splitlines()[1:]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_skips_are_counted_by_reason_with_the_package_that_is_missing(tmp_path, processes):
    (tmp_path / "test_examples.py").write_text(EXAMPLES)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    plugins = ["-p", "tests.skips", "-n", processes]
    assert last_lines(*plugins, cwd=tmp_path, PYTHONPATH=str(ROOT))[:2] == [
        "    3 Chromium is not installed (Debian: apt-get install chromium)",
        "    1 scikit-image is not installed (pip install scikit-image)",
    ]


def test_a_machine_without_a_browser_is_told_of_its_package():
    """The browser tests, on a path that leads to no program, with the servers that run already."""
    lines = last_lines("tests/browser/test_clips.py", PATH="/nowhere", PYTEST_XDIST_WORKER="main")
    assert lines[0] == "    1 Chromium is not installed (Debian: apt-get install chromium)"
    assert lines[-1].startswith("1 skipped")
