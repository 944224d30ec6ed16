"""Loads and saves the weights of a release: float16, word tables int8 with a scale for each row, the vocabulary."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .card import CARD, DEFAULT, WEIGHTS, ReleaseError, check_weights, read_card
from .model import Image2Song
from .network import Network

# Tables whose rows are looked up: stored as int8 with a scale for each row.
TABLES = ("lyrics.words.known.weight", "lyrics.words.ngrams.weight")
SCALE = ".scale"


def load_release(name: str | None = None, *, folder: Path | None = None, device: str = "cpu") -> Image2Song:
    """Load a release after checking its SHA-256. ``device`` as torch names it, or "auto". Raises ReleaseError."""
    name = name or DEFAULT
    device = find_device(device)
    card = read_card(name, folder)
    path = check_weights(name, card, folder)
    try:
        tensors = {key: value.float() if value.is_floating_point() else value for key, value in load_file(path).items()}
        for table in TABLES:
            tensors[table] = tensors[table].float() * tensors.pop(table + SCALE)[:, None]
        vocabulary = bytes(tensors.pop("vocabulary").tolist()).decode().split("\n")
        network = Network(
            tags=len(card["tags"]),
            vocabulary=vocabulary,
            references=len(tensors["reference"]),
            architecture=card["architecture"],
        )
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise ReleaseError(f"{path} does not hold the network its card describes: {error}") from error
    return Image2Song(network=network, card=card, sha256=card["sha256"], device=device)


def find_device(name: str) -> str:
    """Return the device of that name; "auto": a GPU if there is one, else cpu. Raises ReleaseError if it is missing."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if gpus else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ReleaseError(f"{name!r} is no device: give cpu, cuda, cuda:1 ..., or auto.") from None
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ReleaseError(f"There is no device {name!r}: torch sees {gpus} GPUs. Give cpu, another GPU, or auto.")
    return name


def save_release(network: Network, card: dict[str, Any], folder: Path) -> Path:
    """Write the weights and the card with their SHA-256 to ``folder / card["name"]``; return that folder."""
    target: Path = folder / card["name"]
    target.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in network.cpu().state_dict().items()
    }
    for table in TABLES:
        rows = network.state_dict()[table]
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-6).half()
        tensors[table] = (rows / scale[:, None].float()).round().clamp(-127, 127).to(torch.int8)
        tensors[table + SCALE] = scale
    words = "\n".join(network.lyrics.words.index)
    tensors["vocabulary"] = torch.frombuffer(bytearray(words.encode()), dtype=torch.uint8)
    save_file(tensors, target / WEIGHTS)
    card["sha256"] = hashlib.sha256((target / WEIGHTS).read_bytes()).hexdigest()
    (target / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return target
