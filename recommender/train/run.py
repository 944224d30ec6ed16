"""What both trainings share: devices, several processes (torchrun), and figures on the way as CSV and PNG."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn


def join_process_group(device: str) -> torch.device:
    """The device of this process. Started by torchrun, it joins the others, each with a device of its own."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if "WORLD_SIZE" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timedelta(hours=6))
    if device == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(place)
        return place
    return torch.device(device)


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank_indices(count: int) -> list[int]:
    """The places, of so many, that this process takes: as many as each other one, so that some may be taken twice."""
    each = -(-count // world_size())
    return [(rank() + world_size() * at) % count for at in range(each)]


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """The first process goes through before the others do: what it writes to a cache, they read."""
    if distributed.is_initialized() and rank() > 0:
        distributed.barrier()
    yield
    if distributed.is_initialized() and rank() == 0:
        distributed.barrier()


def broadcast_weights(module: nn.Module) -> None:
    """All processes go on with the weights of the first."""
    if distributed.is_initialized():
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)


def optimizer_step(loss: Tensor, optimizer: torch.optim.Optimizer, limit: float = 5.0) -> None:
    """One step down the loss, averaged over the processes; gradients longer than ``limit`` are cut."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    loss.backward()
    if distributed.is_initialized():
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= world_size()
    nn.utils.clip_grad_norm_(parameters, limit)
    optimizer.step()


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where it is faster: on CUDA, and on processors that multiply it."""
    faster = device.type == "cuda" or any(
        torch.cpu.get_capabilities().get(f"{unit}_bf16") for unit in ("avx512", "amx")
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """A checkpoint, whole or not at all."""
    fresh = path.with_suffix(".part")
    torch.save(state, fresh)
    fresh.replace(path)


class TrainingLog:
    """Figures by step as rows of a CSV (phase, step, name, value), and their curves as a PNG beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, phase: str, at: int, figures: dict[str, float]) -> None:
        if rank() > 0:
            return
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([phase, at, name, round(value, 5)] for name, value in figures.items())
        print(phase, at, {name: round(value, 4) for name, value in figures.items()}, flush=True)

    def last(self) -> dict[str, float]:
        """The newest value of each figure, by "phase: name"."""
        return {f"{phase}: {name}": value for phase, _, name, value in self._rows()}

    def plot(self) -> None:
        from matplotlib.figure import Figure

        curves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        for phase, at, name, value in self._rows():
            curves[phase, name].append((at, value))
        curves = {key: points for key, points in curves.items() if len(points) > 1}
        columns = min(3, max(1, len(curves)))
        rows = max(1, -(-len(curves) // columns))
        figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
        for place, ((phase, name), points) in enumerate(curves.items(), start=1):
            axes = figure.add_subplot(rows, columns, place, title=f"{phase}: {name}", xlabel="step")
            axes.plot(*zip(*sorted(points), strict=True))
        figure.savefig(self.path.with_suffix(".png"))

    def _rows(self) -> Iterable[tuple[str, int, str, float]]:
        with self.path.open(newline="") as file:
            return [(phase, int(at), name, float(value)) for phase, at, name, value in csv.reader(file)]
