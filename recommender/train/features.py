"""What a frozen backbone makes of photos, kept on disk piece by piece: a stopped run goes on with the next one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..images import Preprocessing
from .data import Photo, Pixels
from .run import autocast

PIECE = 512
AT_ONCE = 32


@torch.no_grad()
def features_and_classes(
    maps: nn.Module,
    classifier: nn.Module,
    photos: Sequence[Photo],
    square: Preprocessing,
    folder: Path,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Pooled features (N, F) and class probabilities (N, C); read from ``folder`` where they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr(square).encode())
    for value in maps.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    maps.eval().to(device).to(memory_format=torch.channels_last)
    classifier.eval().to(device)
    features, classes = [], []
    pieces = [photos[start : start + PIECE] for start in range(0, len(photos), PIECE)]
    for piece in track(pieces, "features"):
        key = digest.copy()
        key.update("\0".join(str(photo.path) for photo in piece).encode())
        path = folder / f"features-{key.hexdigest()[:16]}.npz"
        if not path.exists():
            _store_piece(maps, classifier, piece, square, path, device)
        with np.load(path) as stored:
            features.append(torch.from_numpy(stored["features"]))
            classes.append(torch.from_numpy(stored["classes"]))
    return torch.cat(features).float(), torch.cat(classes).float()


def _store_piece(
    maps: nn.Module,
    classifier: nn.Module,
    photos: Sequence[Photo],
    square: Preprocessing,
    path: Path,
    device: torch.device,
) -> None:
    features, classes = [], []
    for pixels, _ in DataLoader(Pixels(photos, square, augment=False), AT_ONCE):
        with autocast(device):
            seen = maps(pixels.to(device, memory_format=torch.channels_last))
        seen = seen.float()
        features.append(seen.mean((2, 3)).half().cpu())
        classes.append(classifier(seen).softmax(1).half().cpu())
    fresh = path.with_suffix(".part")
    with fresh.open("wb") as file:
        np.savez(file, features=torch.cat(features).numpy(), classes=torch.cat(classes).numpy())
    fresh.replace(path)
