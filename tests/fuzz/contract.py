"""Requests that schemathesis makes from the schema of a running site, with all its checks and the schema's links."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .site import Site

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 100  # of each operation and phase, in one round


class Cases(NamedTuple):
    count: int
    broken: int


def check_contract(
    site: Site, token: str, folder: Path, *, cases: int, examples: int = EXAMPLES, phases: str = "", seed: int = 1
) -> Cases:
    """Run rounds of requests as the token's account until there were ``cases`` of them; print what was broken."""
    count = broken = 0
    while count < cases and not broken:
        found = _round(site, token, folder, examples, phases, seed)
        count, broken, seed = count + found.count, broken + found.broken, seed + 1
    return Cases(count, broken)


def _round(site: Site, token: str, folder: Path, examples: int, phases: str, seed: int) -> Cases:
    report = folder / "schemathesis.json"
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    options = ["-H", f"Authorization: Token {token}", "-c", "all", "-n", str(examples), "--seed", str(seed)]
    options += ["--no-color", "--report", "json", "--report-json-path", str(report)]
    options += ["--phases", phases] if phases else []
    done = subprocess.run(
        [*program, f"{site.url}/api/schema/", *options],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not report.exists():
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    said = json.loads(report.read_text())
    report.unlink()
    if done.returncode:
        print(done.stdout)
    errors = len(said["errors"]) + (not said["complete"])
    return Cases(said["test_cases"]["generated"], said["test_cases"]["unique_failures"] + errors)
