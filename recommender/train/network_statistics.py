"""Statistics that a network keeps of photos and songs of its training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..lyrics import Lyric
from ..network import Network

SONGS_AT_ONCE = 32


def draw_reference(network: Network, photos: int, seed: int) -> Tensor:
    """Draw the rows of the reference photos, (R,), out of ``photos``; with replacement only where these are too few."""
    count = len(network.reference)
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(torch.ones(photos), count, replacement=photos < count, generator=generator)


@torch.no_grad()
def set_photo_statistics(network: Network, photos: Tensor, reference: Tensor) -> None:
    """Set the mean of v, and v of the reference photos, from v (P, D) of training photos and reference rows (R,)."""
    network.matcher.photo_mean.copy_(photos.mean(0))
    network.reference.copy_(photos[reference])


@torch.no_grad()
def set_song_statistics(network: Network, lyrics: Sequence[Lyric]) -> None:
    """Set the mean and the covariance of l0 over training songs."""
    parts = [lyrics[start : start + SONGS_AT_ONCE] for start in range(0, len(lyrics), SONGS_AT_ONCE)]
    pooled = torch.cat([network.lyrics(part).pooled for part in parts])
    network.song_mean.copy_(pooled.mean(0))
    network.song_covariance.copy_(pooled.T.cov(correction=0))
