"""The tools that build and audit what is handed out (``make tools``), and their targets of the Makefile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.prefix) / "tools"
NEEDS_TOOLS = pytest.mark.skipif(not (TOOLS / ".ready").exists(), reason="the tools are not installed (make tools)")


def make(target: str, folder: Path = ROOT, **variables: object) -> subprocess.CompletedProcess[str]:
    given = [f"{name}={value}" for name, value in ({"TOOLS": TOOLS} | variables).items()]
    (TOOLS / ".ready").touch()  # a checkout that is younger than the tools is no reason to install them again
    return subprocess.run(
        ["make", "--no-print-directory", target, *given], cwd=folder, capture_output=True, text=True, check=False
    )
