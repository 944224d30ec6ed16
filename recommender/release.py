"""Releases on disk: a folder of weights and a card, which has the SHA-256 of the weights.

releases/<name>/model.safetensors    float16; word tables int8 with a scale for each row; the vocabulary
releases/<name>/card.json            name, sha256, architecture, preprocessing, tags, how it was trained, figures
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .model import Image2Song
from .network import Network

RELEASES = Path(__file__).parent / "releases"
DEFAULT = "starter"
WEIGHTS, CARD = "model.safetensors", "card.json"
REQUIRED = ("name", "sha256", "architecture", "preprocessing", "confidence", "tags")
# Tables whose rows are looked up: stored as int8 with a scale for each row.
TABLES = ("lyrics.words.known.weight", "lyrics.words.ngrams.weight")
SCALE = ".scale"


class ReleaseError(Exception):
    """The release is missing, incomplete, or does not match its card."""


def shipped_releases(folder: Path | None = None) -> list[str]:
    """Return the names of the releases in a folder (None: the folder of this package)."""
    root = folder or RELEASES
    return sorted(path.parent.name for path in root.glob(f"*/{CARD}"))


def read_card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the card of a release. Raises ReleaseError."""
    path = (folder or RELEASES) / name / CARD
    try:
        card: Any = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        known = ", ".join(shipped_releases(folder)) or "none"
        raise ReleaseError(f"There is no release {name!r} (no file {path}); known releases: {known}.") from None
    except ValueError as error:
        raise ReleaseError(f"{path} is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise ReleaseError(f"{path} is not a JSON object.")
    missing = [key for key in REQUIRED if key not in card]
    if missing:
        raise ReleaseError(f"{path} lacks {', '.join(missing)}.")
    return card


def load_release(name: str | None = None, *, folder: Path | None = None, device: str = "cpu") -> Image2Song:
    """Load a release after checking its SHA-256. ``device`` as torch names it, or "auto". Raises ReleaseError."""
    name = name or DEFAULT
    device = find_device(device)
    card = read_card(name, folder)
    path = (folder or RELEASES) / name / WEIGHTS
    if not path.is_file():
        raise ReleaseError(f"Release {name!r} has no weights: {path} is missing.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != card["sha256"]:
        raise ReleaseError(
            f"{path} has SHA-256 {digest[:12]}, its card says {card['sha256'][:12]}: the file is damaged or not the "
            "card's. Restore the release folder."
        )
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
    return Image2Song(network=network, card=card, sha256=digest, device=device)


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
