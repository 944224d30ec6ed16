"""Features of photos by a fixed backbone: in batches, and kept on disk in pieces, so that a stopped run can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..images import Preprocessing
from .data import Photo, Pixels
from .distributed import autocast

PIECE = 512  # photos in a file of the cache
PIECE_BATCH = 32


@torch.no_grad()
def cached_features_and_classes(
    backbone: nn.Module,
    classifier: nn.Module,
    photos: Sequence[Photo],
    preprocessing: Preprocessing,
    folder: Path,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return pooled features (N, F) and class probabilities (N, C), computed or read from the cache in ``folder``.

    A file of the cache is named by a digest of the preprocessing, the backbone's weights and the photos' paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr(preprocessing).encode())
    for value in backbone.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    backbone.eval().to(device)
    classifier.eval().to(device)
    features, classes = [], []
    pieces = [photos[start : start + PIECE] for start in range(0, len(photos), PIECE)]
    for piece in track(pieces, "features"):
        key = digest.copy()
        key.update("\0".join(str(photo.path) for photo in piece).encode())
        path = folder / f"features-{key.hexdigest()[:16]}.npz"
        if not path.exists():
            maps = feature_map_batches(backbone, piece, preprocessing, device, PIECE_BATCH)
            _save(path, *pooled_and_classified(maps, classifier))
        with np.load(path) as stored:
            features.append(torch.from_numpy(stored["features"]))
            classes.append(torch.from_numpy(stored["classes"]))
    return torch.cat(features).float(), torch.cat(classes).float()


def feature_map_batches(
    backbone: nn.Module, photos: Sequence[Photo], preprocessing: Preprocessing, device: torch.device, size: int = 64
) -> Iterator[Tensor]:
    """Yield feature maps (B, F, H, W) of photos without augmentation, ``size`` photos at a time."""
    backbone.to(memory_format=torch.channels_last)
    for pixels, _ in DataLoader(Pixels(photos, preprocessing, augment=False), size):
        with autocast(device):
            maps: Tensor = backbone(pixels.to(device, memory_format=torch.channels_last))
        yield maps.float()


def pooled_and_classified(
    maps: Iterator[Tensor], classifier: nn.Module
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return pooled features (N, F) and class probabilities (N, C) of batches of feature maps."""
    features, classes = [], []
    for part in maps:
        features.append(part.mean((2, 3)).half().cpu())
        classes.append(classifier(part).softmax(1).half().cpu())
    return torch.cat(features).numpy(), torch.cat(classes).numpy()


def _save(path: Path, features: NDArray[Any], classes: NDArray[Any]) -> None:
    """Write a file of the cache, whole or not at all."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, features=features, classes=classes)
    unfinished.replace(path)
