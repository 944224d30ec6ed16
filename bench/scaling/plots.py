"""Plots the time of suggestions by catalogue size and by the share of songs that a filter leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BARS = {"p50_ms": -0.18, "p95_ms": 0.18}


def plot(found: dict[str, Any], folder: Path) -> None:
    """Draw scale.png and filters.png from the figures that ``bench/scale.py`` prints."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="songs", ylabel="ms", xscale="log")
    sizes = [int(songs) for songs in found["sizes"]]
    for name, line in (("p50_ms", "-"), ("p95_ms", "--")):
        values = [figures[name] for figures in found["sizes"].values()]
        axes.plot(sizes, values, line, marker="o", color="tab:blue", label=f"20 songs of 300 candidates, {name[:3]}")
        axes.plot(sizes[-1:], [found[f"peer_{name}"]], "s" if line == "-" else "D", color="tab:orange",
                  label=f"peer, nearest 300, {name[:3]}")  # fmt: skip
    axes.set_ylim(0, 1.5 * axes.dataLim.y1)
    axes.legend(loc="upper left")
    figure.savefig(folder / "scale.png", dpi=80)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel=f"share of {found['songs']:,} songs that the filter leaves", ylabel="ms")
    shares = {"all": found, **found["filters"]}
    for name, shift in BARS.items():
        places = [place + shift for place in range(len(shares))]
        axes.bar(places, [figures[name] for figures in shares.values()], width=0.34, label=name[:3])
    axes.axhline(90, linestyle=":", color="grey", label="the goal for p95")
    axes.set_xticks(range(len(shares)), list(shares))
    axes.legend(loc="upper right")
    axes.set_ylim(0, 1.4 * axes.dataLim.y1)
    figure.savefig(folder / "filters.png", dpi=80)
