"""A pytest plugin: ``--fault-table FILE`` writes what the fault tests recorded into FILE, between its two marks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from ..marked import replace_marked

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


class Row(NamedTuple):
    fault: str
    how: str
    result: str
    seconds: float


class Collector:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows += [Row(*values) for name, values in report.user_properties if name == "fault"]

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self.rows:
            write(self.file, self.rows)


def write(file: Path, rows: list[Row]) -> None:
    lines = ["| fault | how | what became of the posts | seconds to recover |", "|---|---|---|---|"]
    lines += [f"| {row.fault} | {row.how} | {row.result} | {row.seconds:.1f} |" for row in rows]
    file.write_text(replace_marked(file.read_text(), BEGIN, END, lines))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, metavar="FILE", help="write the table of faults into FILE")


def pytest_configure(config: pytest.Config) -> None:
    file = config.getoption("--fault-table")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(file), "fault-table")
