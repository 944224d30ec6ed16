"""Figures as tables: on the console, and in a document between markers, with plots beside it.

<!-- figures: NAME -->  ...  <!-- /figures -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..inputs import InputError


@dataclass(frozen=True)
class Section:
    """One table; ``name``: of its markers in the document."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def ranking_section(name: str, title: str, figures: Mapping[str, Mapping[str, Any]]) -> Section:
    """Return the table of figures from ``judged.compare``; leads are those of the first ranking."""
    columns = ["ranking", "nDCG@10", "95 %", "P@5", "MRR", "Med r", "first", "lead over it, 95 %"]
    rows = []
    for place, (ranking, row_figures) in enumerate(figures.items()):
        lead = "{:+.3f} [{:+.3f} {:+.3f}]".format(row_figures["lead"], *row_figures["lead interval"]) if place else ""
        low, high = row_figures["interval"]
        cells = [
            f"{row_figures['nDCG@10']:.3f}",
            f"{low:.3f} {high:.3f}",
            f"{row_figures['P@5']:.3f}",
            f"{row_figures['MRR']:.3f}",
        ]
        rows.append([ranking, *cells, f"{row_figures['Med r']:g}", str(row_figures["first songs"]), lead])
    return Section(name, title, columns, rows)


def figure_section(name: str, title: str, figures: Mapping[str, Any]) -> Section:
    """Return a table of names and values."""
    return Section(name, title, ["figure", "value"], [[key, _cell(value)] for key, value in figures.items()])


def table_section(name: str, title: str, figures: Mapping[str, Mapping[str, Any]], first: str = "") -> Section:
    """Return a table with one row for each entry of ``figures``."""
    columns = list(dict.fromkeys(key for row_figures in figures.values() for key in row_figures))
    rows = [[row, *(_cell(row_figures.get(key)) for key in columns)] for row, row_figures in figures.items()]
    return Section(name, title, [first, *columns], rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return f"[{' '.join(_cell(part) for part in value)}]"
    return str(value)


def show(sections: Sequence[Section]) -> None:
    console = Console(file=sys.stdout, width=160)
    for section in sections:
        table = Table(*section.columns, title=section.title, title_justify="left")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)


def write(sections: Sequence[Section], document: Path) -> None:
    """Write each table between its markers. Raises InputError when the document lacks the markers."""
    try:
        text = document.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{document}: {error}") from error
    for section in sections:
        place = re.compile(rf"(<!-- figures: {re.escape(section.name)} -->\n).*?(<!-- /figures -->)", re.DOTALL)
        if not place.search(text):
            raise InputError(
                f"{document}: there is no place for {section.name!r}; add the lines "
                f"'<!-- figures: {section.name} -->' and '<!-- /figures -->'"
            )
        table = _markdown(section)
        text = place.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", text)  # type: ignore[misc]
    document.write_text(text, encoding="utf-8")


def _markdown(section: Section) -> str:
    lines = [section.columns, ["---"] * len(section.columns), *section.rows]
    return f"{section.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plot_rankings(figures: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw nDCG@10 with its interval, one bar per ranking. Needs matplotlib."""
    from matplotlib.figure import Figure

    names = list(figures)[::-1]
    values = [figures[name]["nDCG@10"] for name in names]
    below = [figures[name]["nDCG@10"] - figures[name]["interval"][0] for name in names]
    above = [figures[name]["interval"][1] - figures[name]["nDCG@10"] for name in names]
    figure = Figure(figsize=(8, 0.4 * len(names) + 1), layout="constrained")
    axes = figure.add_subplot(xlabel="nDCG@10, 95 % interval")
    axes.barh(names, values, xerr=[below, above], color=["tab:blue"] * (len(names) - 1) + ["tab:orange"], capsize=3)
    figure.savefig(path, dpi=80)


def plot_line(points: Mapping[int, float], path: Path, x: str, y: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot(xlabel=x, ylabel=y)
    axes.plot(list(points), list(points.values()), marker="o")
    figure.savefig(path, dpi=80)
