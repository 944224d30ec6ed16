"""Devices and processes: training on several devices with torchrun, and bfloat16 where it is faster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn


def join_process_group(device: str) -> torch.device:
    """Return the device of this process; under torchrun, join the other processes, each with a device of its own."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if "WORLD_SIZE" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timedelta(hours=6))
    if device == "cuda":
        own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(own)
        return own
    return torch.device(device)


def rank() -> int:
    """The number of this process, from 0; 0 without torchrun."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes train together; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank_indices(count: int) -> list[int]:
    """Indices below ``count`` for this rank; equally many per rank, so that some may come twice."""
    each = -(-count // world_size())
    return [(rank() + world_size() * step) % count for step in range(each)]


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """Let rank 0 finish the block before the others enter it: they read the caches that it writes."""
    if distributed.is_initialized() and rank() > 0:
        distributed.barrier()
    yield
    if distributed.is_initialized() and rank() == 0:
        distributed.barrier()


def broadcast_weights(module: nn.Module) -> None:
    """Copy the weights and buffers of rank 0 to all ranks."""
    if distributed.is_initialized():
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)


def optimizer_step(loss: Tensor, optimizer: torch.optim.Optimizer, limit: float = 5.0) -> None:
    """Take one optimizer step, with gradients averaged over the ranks and clipped to the norm ``limit``."""
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
    """Compute in bfloat16 where that is faster: on CUDA, and on processors with instructions for it."""
    faster = device.type == "cuda" or any(
        torch.cpu.get_capabilities().get(f"{unit}_bf16") for unit in ("avx512", "amx")
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)
