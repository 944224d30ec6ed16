"""What some tests need beside Python and this repository, and which package brings it.

Who lacks it skips these tests, and the last lines of a run say how many and why.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

PYTHON_PACKAGES = {"playwright": "playwright", "skimage": "scikit-image", "sklearn": "scikit-learn"}


def without(program: str, package: str) -> str:
    """Return the reason of a skip: the program is missing, and Debian's package brings it."""
    return f"{program} is not installed (Debian: apt-get install {package})"


def import_or_skip(module: str) -> Any:
    """Import a module that tests/requirements.txt installs, or skip and name its package."""
    package = PYTHON_PACKAGES[module.partition(".")[0]]
    return pytest.importorskip(module, reason=f"{package} is not installed (pip install {package})")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skips by their reasons; tests that ran in other processes (``-n``) are among them."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("skipped tests")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5} {reason.removeprefix('Skipped: ')}")
