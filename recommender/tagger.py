"""The first part of the model: a CNN that tags the regions of a photo.

tags  z_r = W f_r + context(f) for each region r, f the mean of all f_r;  z pools the z_r;  p = sigmoid(z)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .backbones import BACKBONES, feature_maps

Box = tuple[float, float, float, float]


class Tagged(NamedTuple):
    regions: Tensor  # (B, T, H, W) logit of each tag in each region
    logits: Tensor  # (B, T) logit of each tag in the photo
    features: Tensor  # (B, F) mean of the last feature map


class Tagger(nn.Module):
    """A convolutional backbone, one linear tag classifier shared by all regions, and what the whole photo makes likely.

    ``sharpness`` g pools the logits z_r as log(mean(exp(g z_r))) / g: at 0 their mean, towards infinity
    their maximum. Noisy-or adds up the doubts of 49 regions; this does not.
    """

    def __init__(self, tags: int, sharpness: float = 0.0, backbone: str = "mobilenet_v2", hidden: int = 512) -> None:
        super().__init__()
        features = BACKBONES[backbone]
        self.backbone = feature_maps(backbone)
        self.classifier = nn.Conv2d(features, tags, 1)
        last = nn.Linear(hidden, tags, bias=False)
        self.context = nn.Sequential(nn.Dropout(0.2), nn.Linear(features, hidden), nn.GELU(), nn.Dropout(0.5), last)
        nn.init.zeros_(last.weight)
        self.sharpness = sharpness

    def forward(self, photos: Tensor) -> Tagged:  # (B, 3, S, S)
        return self.classify(self.backbone(photos))

    def classify(self, maps: Tensor) -> Tagged:
        """From the backbone's last feature map, (B, F, H, W); a pooled feature is a map of one region."""
        features = maps.mean((2, 3))
        regions = self.classifier(maps) + self.context(features)[:, :, None, None]  # (B, T, H, W)
        return Tagged(regions, pool(regions, self.sharpness), features)


def pool(regions: Tensor, sharpness: float) -> Tensor:
    """Smooth maximum over the regions: (B, T, H, W) to (B, T)."""
    flat = regions.flatten(2)
    if sharpness == 0:
        return flat.mean(2)
    return ((flat * sharpness).logsumexp(2) - math.log(flat.shape[2])) / sharpness


def region_box(logits: NDArray[np.float32]) -> Box:
    """Where a tag is: the box of the strongest region's neighbourhood in one logit map, (H, W).

    The map is enlarged and cut half-way between its median and its peak; the box (x0, y0, x1, y1, as
    fractions of the photo) holds the connected part around the peak.
    """
    scale = 5  # odd: each region's centre is a pixel, so that no region loses its peak
    enlarged = nn.functional.interpolate(
        torch.from_numpy(np.asarray(logits, np.float32))[None, None],
        scale_factor=scale,
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()
    peak = np.unravel_index(int(enlarged.argmax()), enlarged.shape)
    inside = enlarged >= (np.median(enlarged) + enlarged[peak]) / 2
    part = np.zeros_like(inside)
    part[peak] = True
    while True:  # flood fill by growing: the maps are tiny
        grown = part.copy()
        grown[1:] |= part[:-1]
        grown[:-1] |= part[1:]
        grown[:, 1:] |= part[:, :-1]
        grown[:, :-1] |= part[:, 1:]
        grown &= inside
        if (grown == part).all():
            break
        part = grown
    rows, columns = np.nonzero(part)
    height, width = part.shape
    return (
        round(float(columns.min()) / width, 4),
        round(float(rows.min()) / height, 4),
        round(float(columns.max() + 1) / width, 4),
        round(float(rows.max() + 1) / height, 4),
    )
