"""What a training leaves on disk as it goes: checkpoints, and figures as CSV and PNG."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from .distributed import rank


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write the state with ``torch.save``, whole or not at all."""
    unfinished = path.with_suffix(".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


class TrainingLog:
    """Figures by step as rows of a CSV (phase, step, name, value), and their curves as a PNG beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, phase: str, step: int, figures: dict[str, float]) -> None:
        """Append the figures and print them; rank 0 only."""
        if rank() > 0:
            return
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([phase, step, name, round(value, 5)] for name, value in figures.items())
        print(phase, step, {name: round(value, 4) for name, value in figures.items()}, flush=True)

    def latest(self) -> dict[str, float]:
        """The newest value of each figure, by "phase: name"."""
        return {f"{phase}: {name}": value for phase, _, name, value in self._rows()}

    def plot(self) -> None:
        """Draw one curve per figure that has more than one value."""
        from matplotlib.figure import Figure

        curves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        for phase, step, name, value in self._rows():
            curves[phase, name].append((step, value))
        curves = {key: points for key, points in curves.items() if len(points) > 1}
        columns = min(3, max(1, len(curves)))
        rows = max(1, -(-len(curves) // columns))
        figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
        for index, ((phase, name), points) in enumerate(curves.items(), start=1):
            axes = figure.add_subplot(rows, columns, index, title=f"{phase}: {name}", xlabel="step")
            axes.plot(*zip(*sorted(points), strict=True))
        figure.savefig(self.path.with_suffix(".png"))

    def _rows(self) -> Iterable[tuple[str, int, str, float]]:
        with self.path.open(newline="") as file:
            return [(phase, int(step), name, float(value)) for phase, step, name, value in csv.reader(file)]
